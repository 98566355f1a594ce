"""Clusters of processes on the loopback, for tests."""

import json
import os
import pathlib
import subprocess

import pytest

from tl_toolkit.devices.local_processes import free_ports

WORKER = pathlib.Path(__file__).with_name("distributed_worker.py")
SECONDS = 400


@pytest.fixture(scope="session")
def run_distributed(python, photo_recipe, tmp_path_factory):
    """Runs cases of `distributed_worker.py` in processes of some devices each, and returns what each wrote."""
    folder = tmp_path_factory.mktemp("distributed")
    # 39 images in five batches of 7 or 8, in two views: four epochs are 20 steps.
    recipe = photo_recipe.replace(
        epochs=4, batch_size=8, views=2, optimizer="sgd", learning_rate=0.05
    )
    recipe.save(folder / "recipe.json")

    def run(processes, devices, *cases):
        place = folder / f"{processes}x{devices}"
        place.mkdir(exist_ok=True)
        addresses = [f"127.0.0.1:{port}" for port in free_ports(processes)]
        started = []
        for index in range(processes):
            environment = dict(os.environ)
            if processes > 1:
                task = {"type": "worker", "index": index}
                config = {"cluster": {"worker": addresses}, "task": task}
                environment["TF_CONFIG"] = json.dumps(config)
            command = [python, WORKER, place, str(devices), *cases]
            log = (place / f"log{index}.txt").open("w")
            started.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            )
        try:
            codes = [process.wait(SECONDS) for process in started]
        finally:
            for process in started:
                process.kill()
        logs = [(place / f"log{index}.txt").read_text()[-3000:] for index in range(processes)]
        assert codes == [0] * processes, "\n".join(logs)
        results = [
            json.loads((place / f"process{index}.json").read_text()) for index in range(processes)
        ]
        return results, place / "weights.npz"

    return run
