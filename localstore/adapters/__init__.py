"""The session interfaces of agent frameworks, kept as ordinary sessions of a store.

| module | extra | class | implements |
| --- | --- | --- | --- |
| `openai_agents` | `localstore[openai-agents]` | `LocalStoreSession` | `agents.memory.Session` |
| `langgraph` | `localstore[langgraph]` | `LocalStoreSaver`, `AsyncLocalStoreSaver` | `BaseCheckpointSaver` |
| `adk` | `localstore[adk]` | `LocalStoreSessionService` | `google.adk.sessions.BaseSessionService` |
| `claude_agent_sdk` | `localstore[claude-agent-sdk]` | `LocalStoreSessionStore` | `claude_agent_sdk.SessionStore` |

Each module imports its framework, and nothing here imports the modules: a program pays for the one it uses. All of them
can share one root, and what they write is listed, shown, searched, forked and exported like any session.
"""
