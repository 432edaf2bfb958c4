"""The demo: the whole loop on one machine, with real movie reviews."""

from sparklabel.demo.run import run_demo

__all__ = ["run_demo"]
