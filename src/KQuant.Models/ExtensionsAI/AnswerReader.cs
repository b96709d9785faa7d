using System.Text;
using Microsoft.Extensions.AI;

namespace KQuant.Models;

/// <summary>Takes an answer apart as it comes: text, thoughts, calls of tools. What may be the beginning of a mark is held back.</summary>
internal sealed class AnswerReader
{
    private readonly AnswerForm _form;
    private readonly bool _hasTools;
    private readonly StringBuilder _held = new();
    private readonly StringBuilder _collected = new();
    private Part _part;
    private string _opened = "";
    private string _recipient = "";
    private bool _trims;
    private bool _hasText;

    /// <param name="form">Of which form the answer is.</param>
    /// <param name="hasTools">Whether calls are looked for.</param>
    /// <param name="isThinking">Whether the prompt ends with the beginning of a thought.</param>
    public AnswerReader(AnswerForm form, bool hasTools, bool isThinking)
    {
        (_form, _hasTools) = (form, hasTools);
        _part = isThinking ? Part.Thought : Part.Text;
        _trims = true;
    }

    private enum Part
    {
        Text,
        Thought,
        Call,

        /// <summary>What stands before a message of gpt-oss: its channel, and whom it is for.</summary>
        Header,

        /// <summary>What stands between messages of gpt-oss.</summary>
        Nothing,
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
                if (found >= 0 && found < at)
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
            EndCall(contents, isCut);
        }

        return contents;
    }

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
        (AnswerForm.Harmony, Part.Nothing) => ["<|channel|>"],
        (AnswerForm.Harmony, _) => ["<|end|>", "<|call|>", "<|return|>", "<|channel|>"],
        (AnswerForm.Hermes, Part.Call) => ["</tool_call>"],
        (AnswerForm.Mistral, Part.Call) => ["[TOOL_CALLS]"],
        (_, Part.Call) => [],
        (_, Part.Thought) => ["</think>", "[/THINK]"],
        (AnswerForm.Hermes, _) when _hasTools => _hasText ? ["<tool_call>"] : ["<think>", "<tool_call>"],
        (AnswerForm.Mistral, _) => [.. _hasText ? (string[])[] : ["[THINK]", "<think>"], .. _hasTools ? (string[])["[TOOL_CALLS]"] : []],
        (AnswerForm.Llama3, _) when _hasTools => _hasText ? ["<|python_tag|>"] : ["<think>", "<|python_tag|>", "{"],
        _ => _hasText ? [] : ["<think>"],
    };

    private void Turn(string mark, List<AIContent> contents)
    {
        switch (mark)
        {
            case "<|channel|>":
                _collected.Clear();
                _part = Part.Header;
                break;
            case "<|message|>":
                BeginMessage(_collected.ToString());
                break;
            case "<|end|>" or "<|call|>" or "<|return|>":
                if (_part == Part.Call)
                {
                    EndCall(contents, isCut: false);
                }

                _part = Part.Nothing;
                break;
            case "<think>" or "[THINK]":
                (_part, _trims) = (Part.Thought, true);
                break;
            case "</think>" or "[/THINK]":
                (_part, _trims) = (Part.Text, true);
                break;
            case "</tool_call>":
                EndCall(contents, isCut: false);
                break;
            default:
                if (_part == Part.Call)
                {
                    EndCall(contents, isCut: false);
                }

                _collected.Clear().Append(mark == "{" ? mark : "");
                (_part, _opened) = (Part.Call, mark == "{" ? "" : mark);
                break;
        }
    }

    private void BeginMessage(string header)
    {
        const string to = "to=";
        int at = header.IndexOf(to, StringComparison.Ordinal);
        _recipient = at < 0 ? "" : header[(at + to.Length)..].Split(' ', '<')[0];
        _collected.Clear();
        _trims = false;
        bool isCall = _hasTools && _recipient.Length > 0;
        _part = isCall ? Part.Call : header.TrimStart().StartsWith("analysis", StringComparison.Ordinal) ? Part.Thought : Part.Text;
        _opened = isCall ? "<|channel|>" + header + "<|message|>" : "";
    }

    private void Emit(string text, List<AIContent> contents)
    {
        if (_part is Part.Call or Part.Header)
        {
            _collected.Append(text);
            return;
        }

        if (_trims)
        {
            text = text.TrimStart();
            _trims = text.Length == 0;
        }

        if (text.Length == 0 || _part == Part.Nothing)
        {
            return;
        }

        _hasText |= _part == Part.Text;
        contents.Add(_part == Part.Thought ? new TextReasoningContent(text) : new TextContent(text));
    }

    private void EndCall(List<AIContent> contents, bool isCut)
    {
        string text = _collected.ToString();
        _collected.Clear();
        (_part, _trims) = (Part.Text, true);
        List<FunctionCallContent>? calls = isCut && _form != AnswerForm.Llama3 ? null
            : _form == AnswerForm.Harmony ? CallText.ReadArguments(_recipient, text)
            : CallText.Read(text);
        if (calls is null)
        {
            // It is no call: then it is text, with what was taken for its mark.
            contents.Add(new TextContent(_opened + text + (_form == AnswerForm.Hermes && !isCut ? "</tool_call>" : "")));
            (_hasText, _trims) = (true, false);
            return;
        }

        Calls += calls.Count;
        contents.AddRange(calls);
    }
}
