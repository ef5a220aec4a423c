"""A JupyterLab server that answers a slider at once.

The server writes a widget's answer as several small messages. By default the system holds the second one back until the first is
acknowledged (Nagle's algorithm), which costs about 40 ms a key press on the same machine. This connection asks it not to.
"""

from __future__ import annotations

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection between page and kernel, with TCP_NODELAY set."""

    async def connect(self) -> None:
        """Connect, once the socket is told not to wait."""
        self.websocket_handler.set_nodelay(True)
        connected = super().connect()
        if connected is not None:
            await connected
