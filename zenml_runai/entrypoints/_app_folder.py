"""Where the pipeline's code is unpacked in the container."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zenml.entrypoints.base_entrypoint_configuration import BaseEntrypointConfiguration
from zenml.logger import get_logger
from zenml.utils import code_utils

from zenml_runai.entrypoints.environment import APP_FOLDER

if TYPE_CHECKING:
    _Base = BaseEntrypointConfiguration
else:
    _Base = object

logger = get_logger(__name__)

DEFAULT_APP_FOLDER = Path("/app")


def app_folder() -> Path:
    """The folder from the environment, else ``/app``, else a new one if that cannot be written."""
    if chosen := os.environ.get(APP_FOLDER):
        folder = Path(chosen).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    try:
        DEFAULT_APP_FOLDER.mkdir(exist_ok=True)
        if os.access(DEFAULT_APP_FOLDER, os.W_OK):
            return DEFAULT_APP_FOLDER
    except OSError:
        pass
    folder = Path(tempfile.mkdtemp(prefix="zenml-app-"))
    logger.warning(
        "%s cannot be written; using %s. Set %s to choose.", DEFAULT_APP_FOLDER, folder, APP_FOLDER
    )
    return folder


class AppFolderMixin(_Base):
    """Prepares the code as ZenML does, but not only in ``/app``.

    ZenML's own method insists on ``/app``, which a pod that does not run as root cannot make.
    """

    def prepare_code_environment(self) -> None:
        os.chdir(app_folder())
        if self.should_download_code:
            if code_path := self.snapshot.code_path:
                # Not from the active stack: its other components may need the code to load.
                code_utils.download_code_from_artifact_store(
                    code_path=code_path, artifact_store=self._load_active_artifact_store()
                )
            elif code_reference := self.snapshot.code_reference:
                self.download_code_from_code_repository(code_reference=code_reference)
        folder = os.getcwd()
        if folder not in sys.path:
            sys.path.insert(0, folder)
