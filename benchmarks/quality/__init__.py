"""How good the answers are where `sparklabel benchmark` does not look: texts that give orders, weights of a mixture."""
