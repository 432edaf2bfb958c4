"""The slow reference of scoring, and the labels and rows that are scored with it.

No cache, no tree, no shared prefix, and transformers' own attention: one forward pass for each factor.
"""

import math
from functools import cache

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from sparklabel.label_trie import END
from sparklabel.labeler import PreparedTask
from sparklabel.labeler.predictors import predictor

PREFIXES = ["cancel", "cancel_transfer", "cancel_transfer_now", "card_arrival", "other"]
ROWS = [
    ["I want my money back now."],
    ["card?"],
    ["The one I sent yesterday, please stop it, it went to a stranger."],
]
BANKING = [
    "Refund_not_showing_up", "activate_my_card", "age_limit", "apple_pay_or_google_pay", "atm_support",
    "automatic_top_up", "balance_not_updated_after_bank_transfer",
    "balance_not_updated_after_cheque_or_cash_deposit", "beneficiary_not_allowed", "cancel_transfer",
    "card_about_to_expire", "card_acceptance", "card_arrival", "card_delivery_estimate", "card_linking",
    "card_not_working", "card_payment_fee_charged", "card_payment_not_recognised",
    "card_payment_wrong_exchange_rate", "card_swallowed", "cash_withdrawal_charge",
    "cash_withdrawal_not_recognised", "change_pin", "compromised_card", "contactless_not_working",
    "country_support", "declined_card_payment", "declined_cash_withdrawal", "declined_transfer",
    "direct_debit_payment_not_recognised", "disposable_card_limits", "edit_personal_details", "exchange_charge",
    "exchange_rate", "exchange_via_app", "extra_charge_on_statement", "failed_transfer", "fiat_currency_support",
    "get_disposable_virtual_card", "get_physical_card", "getting_spare_card", "getting_virtual_card",
    "lost_or_stolen_card", "lost_or_stolen_phone", "order_physical_card", "passcode_forgotten",
    "pending_card_payment", "pending_cash_withdrawal", "pending_top_up", "pending_transfer", "pin_blocked",
    "receiving_money", "request_refund", "reverted_card_payment?", "supported_cards_and_currencies",
    "terminate_account", "top_up_by_bank_transfer_charge", "top_up_by_card_charge", "top_up_by_cash_or_cheque",
    "top_up_failed", "top_up_limits", "top_up_reverted", "topping_up_by_card", "transaction_charged_twice",
    "transfer_fee_charged", "transfer_into_account", "transfer_not_received_by_recipient", "transfer_timing",
    "unable_to_verify_identity", "verify_my_identity", "verify_source_of_funds", "verify_top_up",
    "virtual_card_not_working", "visa_or_mastercard", "why_verify_identity", "wrong_amount_of_cash_received",
    "wrong_exchange_rate_for_cash_withdrawal",
]  # fmt: skip


class Reference:
    """A model folder as transformers loads it, float32, asked one sequence at a time."""

    def __init__(self, folder, stop_ids):
        self._model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self._stop_ids = list(stop_ids)

    def probabilities(self, prompt, paths):
        """The probability of each path behind the prompt."""
        logits = cache(lambda node: self._logits((*prompt, *node)))
        return [
            math.prod(self._step(logits, path, depth, paths) for depth in range(len(path) + 1))
            for path in paths
        ]

    def _step(self, logits, path, depth, paths):
        node = path[:depth]
        allowed = sorted({(*other, END)[depth] for other in paths if other[:depth] == node})
        if len(allowed) == 1:
            return 1.0
        scores = torch.stack([self._score(logits(node), token) for token in allowed])
        return float(scores.softmax(0)[allowed.index((*path, END)[depth])])

    def _score(self, logits, token):
        return logits[self._stop_ids].logsumexp(0) if token == END else logits[token]

    def _logits(self, ids):
        with torch.inference_mode():
            return self._model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].double()


def scorer(task, engine, manifest=None):
    """What answers the task's question with the engine, as a labeler has it."""
    return predictor(
        PreparedTask.of(task, engine.tokenizer, manifest, "m"), engine, zero_shot=manifest is None
    )


def check(scorer, reference, rows):
    """The scorer's probabilities are the reference's, for every label of every row."""
    encoder, paths = scorer.prepared.encoder, scorer.prepared.trie.paths
    prompts = encoder.encode(rows)
    found = np.exp(scorer.log_probabilities(prompts, []))
    for prompt, probabilities in zip(prompts, found, strict=True):
        expected = reference.probabilities((*encoder.prefix, *prompt.ids), paths)
        assert probabilities == pytest.approx(expected, abs=1e-3, rel=1e-2)
        assert probabilities.sum() == pytest.approx(1.0)
