"""The normal form of an email address, by which users are found."""

from email_validator import EmailNotValidError, validate_email


def normal_email(text: str) -> str:
    """An address in its normal form. Raises EmailNotValidError."""
    return validate_email(text, check_deliverability=False).normalized


def email_to_find(text: str) -> str:
    """The normal form of an address; a text that is no address as it is, which finds nobody."""
    try:
        return normal_email(text)
    except EmailNotValidError:
        return text
