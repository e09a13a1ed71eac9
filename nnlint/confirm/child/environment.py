"""The environment variables of a run whose files lie in a scratch folder and whose network logging stays at home."""

from __future__ import annotations

import os


def environment(scratch: str) -> dict[str, str]:
    """What the launcher sets for the child. Caches of data and weights (`HF_HOME`, `TORCH_HOME`) stay where they are: they are read."""
    scratch = os.path.realpath(scratch)
    tmp, runs = f"{scratch}/tmp", f"{scratch}/runs"
    for folder in (tmp, runs):
        os.makedirs(folder, exist_ok=True)
    return {
        "TMPDIR": tmp,
        "TEMP": tmp,
        "TMP": tmp,
        # No `__pycache__` beside the user's files.
        "PYTHONDONTWRITEBYTECODE": "1",
        # Native writers of caches.
        "CUDA_CACHE_PATH": f"{tmp}/cuda",
        "MIOPEN_USER_DB_PATH": f"{tmp}/miopen",
        "MIOPEN_CUSTOM_CACHE_DIR": f"{tmp}/miopen",
        "TORCH_EXTENSIONS_DIR": f"{tmp}/torch_extensions",
        "TORCHINDUCTOR_CACHE_DIR": f"{tmp}/inductor",
        "TRITON_CACHE_DIR": f"{tmp}/triton",
        # The hub's downloader in Rust writes past Python; the one in Python does the same work.
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ENABLE_HF_TRANSFER": "0",
        # Network logging.
        "WANDB_MODE": "offline",
        "WANDB_DIR": runs,
        "WANDB_ARTIFACT_DIR": runs,
        "WANDB_CACHE_DIR": f"{tmp}/wandb",
        "WANDB_DATA_DIR": f"{tmp}/wandb",
        "WANDB_SILENT": "true",
        "MLFLOW_TRACKING_URI": f"file://{runs}/mlruns",
        "MLFLOW_REGISTRY_URI": f"file://{runs}/mlruns",
        "COMET_START_ONLINE": "0",
        "COMET_OFFLINE_DIRECTORY": f"{runs}/comet",
        "NEPTUNE_MODE": "offline",
        "CLEARML_OFFLINE_MODE": "1",
        "CLEARML_CACHE_DIR": f"{tmp}/clearml",
        "SWANLAB_MODE": "disabled",
        # Reports of use.
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
    }
