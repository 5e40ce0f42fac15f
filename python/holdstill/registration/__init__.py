"""Faces of many people: a model of registered faces, and the search for where it fits best."""

from holdstill.registration.registering import Identification, Registration, identify, register

__all__ = ["Identification", "Registration", "identify", "register"]
