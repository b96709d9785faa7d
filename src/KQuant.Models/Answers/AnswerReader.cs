using System.Text;
using Microsoft.Extensions.AI;

namespace KQuant.Models.Answers;

/// <summary>Takes an answer apart as it comes: text, thoughts, calls of tools. What may be the beginning of a mark is held back.</summary>
internal sealed class AnswerReader
{
    private readonly AnswerForm _form;
    private readonly IReadOnlySet<string> _tools;
    private readonly StringBuilder _held = new();
    private readonly StringBuilder _collected = new();
    private Part _part;
    private string _opened = "";
    private string _role = "";
    private string _recipient = "";
    private bool _trims;
    private bool _hasText;
    private bool _hasMessage;

    /// <param name="form">Of which form the answer is.</param>
    /// <param name="tools">The names of the functions that may be called; none if calls are not looked for.</param>
    /// <param name="isThinking">Whether the prompt ends with the beginning of a thought.</param>
    /// <param name="isContinued">Whether the prompt ends with the beginning of the text.</param>
    public AnswerReader(AnswerForm form, IReadOnlySet<string> tools, bool isThinking, bool isContinued = false)
    {
        (_form, _tools, _hasText, _trims) = (form, tools, isContinued, !isContinued);
        _part = form == AnswerForm.Harmony ? Part.Between : isThinking ? Part.Thought : Part.Text;
    }

    private enum Part
    {
        Text,
        Thought,
        Call,

        /// <summary>What stands before a message of gpt-oss: its channel, and perhaps whom it is for.</summary>
        Header,

        /// <summary>What stands before that: who speaks, and perhaps to whom.</summary>
        Between,
    }

    /// <summary>Calls that were found.</summary>
    public int Calls { get; private set; }

    /// <summary>Takes the next piece of the answer.</summary>
    /// <returns>What is certain now.</returns>
    public List<AIContent> Append(string text)
    {
        var contents = new List<AIContent>();
        _held.Append(text);
        while (true)
        {
            string all = _held.ToString();
            string[] marks = Marks();
            string? mark = null;
            int at = all.Length;
            foreach (string candidate in marks)
            {
                int found = all.IndexOf(candidate, StringComparison.Ordinal);
                if (found >= 0 && found < at && (!IsOpening(candidate) || all.AsSpan(0, found).IsWhiteSpace()))
                {
                    (mark, at) = (candidate, found);
                }
            }

            if (mark is null)
            {
                int held = marks.Length == 0 ? 0 : marks.Max(candidate => Beginning(all, candidate));
                _held.Clear().Append(all.AsSpan(all.Length - held));
                Emit(all[..^held], contents);
                return contents;
            }

            _held.Clear().Append(all.AsSpan(at + mark.Length));
            Emit(all[..at], contents);
            Turn(mark, contents);
        }
    }

    /// <summary>The answer has ended.</summary>
    /// <param name="isCut">Whether something of it is missing.</param>
    /// <returns>The rest.</returns>
    public List<AIContent> Finish(bool isCut)
    {
        var contents = new List<AIContent>();
        Emit(_held.ToString(), contents);
        _held.Clear();
        if (_part == Part.Call)
        {
            EndCall(contents, "", isCut);
        }
        else if (_part == Part.Between && !_hasMessage)
        {
            // Not what a gpt-oss writes: then it is an answer as it stands.
            _part = Part.Text;
            Emit(_collected.ToString(), contents);
        }

        return contents;
    }

    /// <summary>Whether a mark is one only at the beginning of an answer.</summary>
    private static bool IsOpening(string mark) => mark is "<think>" or "[THINK]" or "{";

    private static int Beginning(string text, string mark)
    {
        for (int length = Math.Min(text.Length, mark.Length - 1); length > 0; length--)
        {
            if (text.AsSpan(text.Length - length).SequenceEqual(mark.AsSpan(0, length)))
            {
                return length;
            }
        }

        return 0;
    }

    private string[] Marks() => (_form, _part) switch
    {
        (AnswerForm.Harmony, Part.Header) => ["<|message|>"],
        (AnswerForm.Harmony, Part.Between) => ["<|channel|>"],
        (AnswerForm.Harmony, _) => ["<|end|>", "<|call|>", "<|return|>", "<|channel|>"],
        (AnswerForm.Hermes, Part.Call) => ["</tool_call>"],
        (AnswerForm.Mistral, Part.Call) => ["[TOOL_CALLS]"],
        (_, Part.Call) => [],
        (_, Part.Thought) => ["</think>", "[/THINK]"],
        (AnswerForm.Hermes, _) when _tools.Count > 0 => _hasText ? ["<tool_call>"] : ["<think>", "<tool_call>"],
        (AnswerForm.Mistral, _) => [.. _hasText ? (string[])[] : ["[THINK]", "<think>"], .. _tools.Count > 0 ? (string[])["[TOOL_CALLS]"] : []],
        (AnswerForm.Llama3, _) when _tools.Count > 0 => _hasText ? ["<|python_tag|>"] : ["<think>", "<|python_tag|>", "{"],
        _ => _hasText ? [] : ["<think>"],
    };

    private void Turn(string mark, List<AIContent> contents)
    {
        if (_part == Part.Call)
        {
            EndCall(contents, mark == "</tool_call>" ? mark : "", isCut: false);
        }

        switch (mark)
        {
            case "<|channel|>":
                _role = _part == Part.Between ? _collected.ToString() : "";
                _collected.Clear();
                _part = Part.Header;
                break;
            case "<|message|>":
                BeginMessage(_collected.ToString());
                break;
            case "<|end|>" or "<|call|>" or "<|return|>":
                _collected.Clear();
                _part = Part.Between;
                break;
            case "<think>" or "[THINK]":
                (_part, _trims) = (Part.Thought, true);
                break;
            case "</think>" or "[/THINK]":
                (_part, _trims) = (Part.Text, true);
                break;
            case "</tool_call>":
                break;
            default:
                _collected.Clear().Append(mark == "{" ? mark : "");
                (_part, _opened) = (Part.Call, mark == "{" ? "" : mark);
                break;
        }
    }

    private void BeginMessage(string channel)
    {
        // Whom a message is for stands before its channel or behind it.
        const string to = "to=";
        string header = channel.Contains(to, StringComparison.Ordinal) ? channel : _role;
        int at = header.IndexOf(to, StringComparison.Ordinal);
        _recipient = at < 0 ? "" : header[(at + to.Length)..].Split(' ', '<')[0];
        _collected.Clear();
        (_trims, _hasMessage) = (false, true);
        bool isCall = _tools.Count > 0 && _recipient.Length > 0;
        _part = isCall ? Part.Call : channel.TrimStart().StartsWith("analysis", StringComparison.Ordinal) ? Part.Thought : Part.Text;
        _opened = isCall ? "<|channel|>" + channel + "<|message|>" : "";
    }

    private void Emit(string text, List<AIContent> contents)
    {
        if (_part is Part.Call or Part.Header or Part.Between)
        {
            _collected.Append(text);
            return;
        }

        if (_trims)
        {
            text = text.TrimStart();
            _trims = text.Length == 0;
        }

        if (text.Length == 0)
        {
            return;
        }

        _hasText |= _part == Part.Text;
        contents.Add(_part == Part.Thought ? new TextReasoningContent(text) : new TextContent(text));
    }

    private void EndCall(List<AIContent> contents, string end, bool isCut)
    {
        string text = _collected.ToString();
        _collected.Clear();
        (_part, _trims) = (Part.Text, true);
        if (ReadCalls(text, isCut) is not { } calls)
        {
            // It is no call: then it is text, with what was taken for its marks.
            contents.Add(new TextContent(_opened + text + end));
            (_hasText, _trims) = (true, false);
            return;
        }

        Calls += calls.Count;
        contents.AddRange(calls);
    }

    private List<FunctionCallContent>? ReadCalls(string text, bool isCut) => _form switch
    {
        // JSON that an answer consists of may be just that, and shows whether it is complete.
        AnswerForm.Llama3 => CallText.Read(text) is { } calls && (_opened.Length > 0 || calls.TrueForAll(call => _tools.Contains(call.Name))) ? calls : null,
        _ when isCut => null,
        AnswerForm.Harmony => CallText.ReadArguments(_recipient, text),
        AnswerForm.Mistral => CallText.ReadNamed(text) ?? CallText.Read(text),
        _ => CallText.Read(text),
    };
}
