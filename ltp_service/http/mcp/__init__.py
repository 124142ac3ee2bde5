"""The Model Context Protocol: how an agent asks for prices."""
