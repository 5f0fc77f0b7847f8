"""The receivers that need no account: the console, and a file of JSON lines."""

from ihobs_notifier.receivers import ihobs_notify

__all__ = ["ihobs_notify"]
