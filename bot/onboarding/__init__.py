"""The first hour: who may set this service up, the App that is registered for it, and whether its webhook arrives."""

from bot.onboarding.setting_up import SettingUp

__all__ = ["SettingUp"]
