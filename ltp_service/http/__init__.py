"""Everything that knows what a request is: the layer before Flask, the checks at the door, the answers."""
