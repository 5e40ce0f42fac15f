"""A synthetic talking head whose true motion is known, rendered by formulas alone."""

from .talking_head import LANDMARKS, TalkingHead

__all__ = ["LANDMARKS", "TalkingHead"]
