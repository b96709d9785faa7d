namespace KQuant.Models.Answers;

/// <summary>How a family of models writes thoughts and calls of tools.</summary>
internal enum AnswerForm
{
    /// <summary>Thoughts between think tags; calls in no form that is known.</summary>
    Plain,

    /// <summary>JSON between <c>&lt;tool_call&gt;</c> and <c>&lt;/tool_call&gt;</c>: Qwen, Hermes.</summary>
    Hermes,

    /// <summary>The answer is the call, as JSON with <c>parameters</c>: Llama 3.</summary>
    Llama3,

    /// <summary>A list behind <c>[TOOL_CALLS]</c>, or a name and <c>[ARGS]</c>.</summary>
    Mistral,

    /// <summary>Messages in channels: gpt-oss.</summary>
    Harmony,
}
