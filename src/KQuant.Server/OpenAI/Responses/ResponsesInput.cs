using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Templates;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI.Responses;

/// <summary>
/// The input of <c>/v1/responses</c> as messages: a text, or items. What the model thought, said and called in one turn are items of their own
/// there and one message to templates.
/// </summary>
internal sealed class ResponsesInput
{
    private readonly ServedModel _served;
    private readonly List<TemplateMessage> _messages = [];
    private readonly StringBuilder _thought = new();
    private JsonArray _calls = [];
    private string? _said;

    private ResponsesInput(ServedModel served) => _served = served;

    /// <summary>Reads it.</summary>
    /// <param name="body">The body of the request.</param>
    /// <param name="served">Its chat template decides what a developer is.</param>
    public static List<TemplateMessage> Read(JsonFields body, ServedModel served)
    {
        if (!body.TryGet("input", out JsonElement input))
        {
            throw body.Missing("input");
        }

        var reader = new ResponsesInput(served);
        if (body.Text("instructions") is { Length: > 0 } instructions)
        {
            reader._messages.Add(new TemplateMessage("system", instructions));
        }

        if (input.ValueKind == JsonValueKind.String)
        {
            reader._messages.Add(new TemplateMessage("user", body.Text("input")));
            return reader._messages;
        }

        if (input.ValueKind != JsonValueKind.Array)
        {
            throw body.Wrong("input", input, "a text or a list of items");
        }

        bool isEmpty = true;
        foreach ((JsonElement item, string path) in body.List("input")!)
        {
            reader.Add(new JsonFields(item, path));
            isEmpty = false;
        }

        reader.EndTurn();
        return isEmpty ? throw ApiException.Wrong("input", "'input' is empty.") : reader._messages;
    }

    private void Add(JsonFields item)
    {
        switch (item.Text("type") ?? "message")
        {
            case "message":
                AddMessage(item);
                break;
            case "reasoning":
                BeginTurn(isNew: _said is not null || _calls.Count > 0);
                foreach (string name in (string[])["content", "summary"])
                {
                    if (_thought.Length == 0)
                    {
                        _thought.Append(MessageFields.ReadContent(item, name, "reasoning_text", "summary_text"));
                    }
                }

                break;
            case "function_call":
                string id = item.Text("call_id") ?? throw item.Missing("call_id");
                string function = item.Text("name") ?? throw item.Missing("name");
                _calls.Add((JsonNode)MessageFields.CallNode(id, function, MessageFields.ReadArguments(item)));
                break;
            case "function_call_output":
                EndTurn();
                string call = item.Text("call_id") ?? throw item.Missing("call_id");
                string output = MessageFields.ReadContent(item, "output", "input_text") ?? throw item.Missing("output");
                _messages.Add(new TemplateMessage("tool", output) { More = new JsonObject { ["tool_call_id"] = call } });
                break;
            case "item_reference":
                throw ApiException.Wrong(item.PathOf("type"), $"'{item.PathOf("type")}' is 'item_reference'; nothing is stored here, so give the item itself.");
            default:
                item.Choice("type", "message", "reasoning", "function_call", "function_call_output");
                break;
        }
    }

    private void AddMessage(JsonFields item)
    {
        string role = item.Choice("role", "system", "developer", "user", "assistant") ?? throw item.Missing("role");
        string content = MessageFields.ReadContent(item, "content", "input_text", "output_text", "text") ?? throw item.Missing("content");
        if (role == "assistant")
        {
            BeginTurn(isNew: _said is not null || _calls.Count > 0);
            _said = content;
            return;
        }

        EndTurn();
        role = role == "developer" ? MessageFields.DeveloperRole(_served) : role;

        // Many templates take one message of the system, at the beginning, and clients send both instructions and such a message.
        if (role != "user" && _messages is [{ Role: "system" } first])
        {
            _messages[0] = new TemplateMessage("system", first.Content + "\n\n" + content);
        }
        else
        {
            _messages.Add(new TemplateMessage(role, content));
        }
    }

    private void BeginTurn(bool isNew)
    {
        if (isNew)
        {
            EndTurn();
        }
    }

    /// <summary>What the model did so far is a message.</summary>
    private void EndTurn()
    {
        if (_said is not null || _calls.Count > 0 || _thought.Length > 0)
        {
            _messages.Add(MessageFields.CreateAssistant(_served, _said, _calls, _thought.ToString(), []));
            _thought.Clear();
            (_said, _calls) = (null, []);
        }
    }
}
