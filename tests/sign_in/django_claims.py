"""What the tests' OpenID provider says of its riders."""

from typing import Any

from oauth2_provider.oauth2_validators import OAuth2Validator


class Validator(OAuth2Validator):  # type: ignore[misc]
    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        rider = request.user
        return {
            "name": rider.first_name,
            "email": rider.email,
            "email_verified": rider.is_staff,
        }
