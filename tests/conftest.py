"""What every test needs: one seed, and Keras state that does not leak from test to test."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()
