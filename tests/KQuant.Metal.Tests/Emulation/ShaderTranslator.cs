using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace KQuant.Metal.Tests.Emulation;

/// <summary>
/// Turns preprocessed shaders into C++: the source as it is, and for each kernel a function that takes its arguments from slots and
/// positions. The one change to the source is the name of the attribute <c>[[threadgroup(n)]]</c>, which <c>metal_stdlib</c> has for a macro.
/// </summary>
internal static partial class ShaderTranslator
{
    /// <summary>Translates.</summary>
    /// <param name="preprocessed">Shaders whose macros and includes are expanded, but not those of <c>metal_stdlib</c>.</param>
    /// <param name="source">The text that a program would hand to Metal; the library remembers it.</param>
    /// <exception cref="FormatException">A shader breaks one of the rules without which C++ would mean something else.</exception>
    public static string Translate(string preprocessed, string source)
    {
        if (LocalThreadgroupMemory().Match(preprocessed) is { Success: true } local)
        {
            throw new FormatException($"'{local.Value}': threadgroup memory has to be a parameter, or each thread gets its own.");
        }

        var result = new StringBuilder("#include <metal_stdlib>\n")
            .Append(RenameAttributes(preprocessed))
            .Append("\n#ifndef KQ_ADDRESS_SPACES\n#undef kernel\n#undef device\n#undef constant\n#undef threadgroup\n#undef thread\n#include \"runtime.h\"\n");
        result.Append(
            """
            template <class T> struct position;
            template <> struct position<uint> { static uint of(const uint32_t* p) { return p[0]; } };
            template <> struct position<uint2> { static uint2 of(const uint32_t* p) { return uint2{p[0], p[1]}; } };
            template <> struct position<uint3> { static uint3 of(const uint32_t* p) { return uint3{p[0], p[1], p[2]}; } };

            """);
        var table = new StringBuilder();
        foreach (Match kernel in Kernel().Matches(preprocessed))
        {
            AppendKernel(result, table, kernel.Groups[1].Value, kernel.Groups[2].Value);
        }

        return result
            .Append("#define EXPORT extern \"C\" __attribute__((visibility(\"default\"), used)) const\n")
            .Append(CultureInfo.InvariantCulture, $"EXPORT KqKernel kq_kernels[] = {{\n{table}{{0, 0, 0, 0, 0}}}};\n")
            .Append(CultureInfo.InvariantCulture, $"EXPORT unsigned char kq_source[] = {{{string.Join(',', (byte[])[.. Encoding.UTF8.GetBytes(source), 0])}}};\n#endif\n")
            .ToString();
    }

    /// <summary>Gives the attribute <c>[[threadgroup(n)]]</c> a name that is no macro.</summary>
    public static string RenameAttributes(string shaders) => ThreadgroupAttribute().Replace(shaders, "[[kq_threadgroup(");

    private static void AppendKernel(StringBuilder result, StringBuilder table, string name, string parameters)
    {
        uint buffers = 0, threadgroupBuffers = 0, written = 0;
        var arguments = new List<string>();
        foreach (string parameter in ParameterEnd().Split(parameters))
        {
            Match match = Parameter().Match(parameter);
            if (!match.Success)
            {
                throw new FormatException($"{name}: the parameter '{parameter.Trim()}' has no attribute.");
            }

            string type = AddressSpace().Replace(match.Groups["type"].Value.Replace("constant", "const", StringComparison.Ordinal), "").Trim();
            string index = match.Groups["index"].Value, attribute = match.Groups["attribute"].Value;
            if (attribute == "buffer")
            {
                buffers |= 1u << int.Parse(index, CultureInfo.InvariantCulture);
                written |= type.StartsWith("const ", StringComparison.Ordinal) ? 0 : 1u << int.Parse(index, CultureInfo.InvariantCulture);
                arguments.Add(type.EndsWith('&') ? $"*({type[..^1].Trim()}*)a->buffers[{index}]" : $"({type})a->buffers[{index}]");
            }
            else if (attribute == "threadgroup")
            {
                threadgroupBuffers |= 1u << int.Parse(index, CultureInfo.InvariantCulture);
                arguments.Add($"({type})a->threadgroup_memory[{index}]");
            }
            else
            {
                arguments.Add($"position<{type}>::of(p->{attribute})");
            }
        }

        result.Append(
            CultureInfo.InvariantCulture,
            $"static void run_{name}(const KqArguments* a, const KqPosition* p) {{ (void)p; {name}({string.Join(", ", arguments)}); }}\n");
        table.Append(CultureInfo.InvariantCulture, $"{{\"{name}\", run_{name}, {buffers}u, {threadgroupBuffers}u, {written}u}},\n");
    }

    [GeneratedRegex(@"\bkernel\s+void\s+(\w+)\s*\(([^{]*)\)\s*\{")]
    private static partial Regex Kernel();

    [GeneratedRegex(@",(?![^\[]*\]\])")]
    private static partial Regex ParameterEnd();

    [GeneratedRegex(@"^\s*(?<type>.+?[\s&*])\w+\s*\[\[\s*(?<attribute>\w+)(\((?<index>\d+)\))?\s*\]\]\s*$", RegexOptions.Singleline)]
    private static partial Regex Parameter();

    [GeneratedRegex(@"\b(device|threadgroup|thread)\b")]
    private static partial Regex AddressSpace();

    [GeneratedRegex(@"\[\[\s*threadgroup\(")]
    private static partial Regex ThreadgroupAttribute();

    [GeneratedRegex(@"(?<![\[\w])threadgroup\s+\w+\s+\w+\s*[\[;=]")]
    private static partial Regex LocalThreadgroupMemory();
}
