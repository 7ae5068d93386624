"""How checkpoints of LangGraph are kept in the nodes of a session; `localstore.adapters.langgraph` is the face."""
