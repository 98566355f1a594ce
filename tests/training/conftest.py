"""Keras state is cleared once a file: it takes a third of a second, longer than most tests here."""

import keras
import pytest


@pytest.fixture(scope="module", autouse=True)
def _fresh_keras_state():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()
