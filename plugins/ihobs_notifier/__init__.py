"""Receivers: the console, files, Slack, PagerDuty, webhooks, and all that Apprise reaches (mail, SMS, Teams, ...)."""

from ihobs_notifier.receivers import ihobs_notify

__all__ = ["ihobs_notify"]
