"""Answering over HTTP: who may call, how a call is read and answered, and the model that calls share."""
