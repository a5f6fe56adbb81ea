"""How a trained model is used: exports and their checks, servers, the client."""

from rankup_keras.serving.client.grpc_client import Client as Client
from rankup_keras.serving.client.grpc_client import ServingError as ServingError
from rankup_keras.serving.exporting.export_check import ExportError as ExportError
from rankup_keras.serving.exporting.model_card import read_card as read_card
from rankup_keras.serving.exporting.pipeline import export as export
from rankup_keras.serving.exporting.session import SavedModelSession as SavedModelSession
from rankup_keras.serving.exporting.session import SessionError as SessionError
from rankup_keras.serving.exporting.session import load_session as load_session
from rankup_keras.serving.exporting.version_directory import version_path as version_path
from rankup_keras.serving.exporting.version_directory import versions as versions
from rankup_keras.serving.server.development_server import DevelopmentServer as DevelopmentServer
from rankup_keras.serving.server.server_config import ServerConfig as ServerConfig
