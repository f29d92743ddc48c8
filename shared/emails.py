"""Email addresses: one form of each, by which accounts are found."""

from email_validator import EmailNotValidError, validate_email


def normal_email(text: str) -> str:
    """An address in its normal form. Raises EmailNotValidError."""
    return validate_email(text, check_deliverability=False).normalized


def email_to_find(text: str) -> str:
    """What an account is found by: the normal form, or the text itself where it is no address."""
    try:
        return normal_email(text)
    except EmailNotValidError:
        return text
