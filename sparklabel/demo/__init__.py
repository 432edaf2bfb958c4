"""The whole loop on one machine, with real reviews."""

from sparklabel.demo.run import run_demo

__all__ = ["run_demo"]
