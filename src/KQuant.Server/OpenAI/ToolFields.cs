using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Answers;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary>Functions that an answer may call, and what it has to look like, as OpenAI's interface has them.</summary>
internal static class ToolFields
{
    /// <summary>Reads what an answer may be.</summary>
    /// <param name="body">The body of the request.</param>
    /// <param name="served">Knows how the model calls functions.</param>
    /// <param name="tools">The functions as templates see them; null for none.</param>
    public static AnswerPlan Read(JsonFields body, ServedModel served, out JsonArray? tools)
    {
        tools = [];
        var schemas = new List<(string Name, JsonNode Schema)>();
        foreach ((JsonElement item, string path) in body.List("tools") ?? [])
        {
            var tool = new JsonFields(item, path);
            tool.Choice("type", "function");
            JsonFields function = tool.Object("function") ?? throw tool.Missing("function");
            Add(tools, schemas, function.Text("name") ?? throw function.Missing("name"), function.Text("description"), function.NodeObject("parameters"));
        }

        string choice = "auto";
        string? only = null;
        if (body.TryGet("tool_choice", out JsonElement given))
        {
            if (given.ValueKind == JsonValueKind.Object)
            {
                JsonFields named = body.Object("tool_choice")!.Value;
                JsonFields function = named.Object("function") ?? throw named.Missing("function");
                (choice, only) = ("required", function.Text("name") ?? throw function.Missing("name"));
            }
            else
            {
                choice = body.Choice("tool_choice", "none", "auto", "required")!;
            }
        }

        return Create(served, ref tools, schemas, choice, only) with
        {
            AllowsManyCalls = body.Flag("parallel_tool_calls") ?? true,
            Reply = ReadFormat(body),
        };
    }

    /// <summary>Adds a function.</summary>
    /// <param name="tools">Functions as templates see them.</param>
    /// <param name="schemas">Their names and arguments.</param>
    /// <param name="name">Its name.</param>
    /// <param name="description">What it does; null for nothing.</param>
    /// <param name="parameters">The schema of its arguments; null for none.</param>
    public static void Add(JsonArray tools, List<(string Name, JsonNode Schema)> schemas, string name, string? description, JsonObject? parameters)
    {
        parameters ??= new JsonObject { ["type"] = "object", ["properties"] = new JsonObject() };
        tools.Add((JsonNode)new JsonObject
        {
            ["type"] = "function",
            ["function"] = new JsonObject { ["name"] = name, ["description"] = description, ["parameters"] = parameters.DeepClone() },
        });
        schemas.Add((name, parameters));
    }

    /// <summary>What an answer may be, by the functions there are and how they may be chosen.</summary>
    /// <param name="served">Knows how the model calls functions.</param>
    /// <param name="tools">The functions; null when none may be called.</param>
    /// <param name="schemas">Their names and arguments.</param>
    /// <param name="choice"><c>none</c>, <c>auto</c> or <c>required</c>.</param>
    /// <param name="only">The one that is required; null for any.</param>
    public static AnswerPlan Create(ServedModel served, ref JsonArray? tools, List<(string Name, JsonNode Schema)> schemas, string choice, string? only)
    {
        if (choice == "required" && !schemas.Exists(tool => only is null || tool.Name == only))
        {
            throw ApiException.Wrong("tool_choice", only is null ? "A call is required, and there are no tools." : $"A call of '{only}' is required, and there is no such tool.");
        }

        if (choice == "none" || schemas.Count == 0)
        {
            tools = null;
            return new AnswerPlan { Form = served.Form };
        }

        return served.Form != AnswerForm.Plain && served.Model.ChatTemplate?.TakesTools == true
            ? new AnswerPlan { Form = served.Form, Tools = schemas, IsCallRequired = choice == "required", RequiredTool = only }
            : throw ApiException.Wrong("tools", "The chat template of the model takes no tools, or has a form of calls that is not known.");
    }

    private static JsonNode? ReadFormat(JsonFields body)
    {
        if (body.Node("json_schema") is { } own)
        {
            return own;
        }

        if (body.Object("response_format") is not { } format)
        {
            return null;
        }

        switch (format.Choice("type", "text", "json_object", "json_schema") ?? throw format.Missing("type"))
        {
            case "json_object":
                return format.Node("schema") ?? new JsonObject { ["type"] = "object" };
            case "json_schema":
                return format.Node("schema") ?? (format.Object("json_schema") ?? throw format.Missing("json_schema")).Node("schema")
                    ?? throw ApiException.Wrong("response_format.json_schema.schema", "'response_format.json_schema.schema' is missing.");
            default:
                return null;
        }
    }
}
