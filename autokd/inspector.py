class Inspector:
    def __init__(self, seconds):
        pass

    def close(self):
        pass
