using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Text;

namespace KQuant.Arm64.Generator;

/// <summary>
/// The vector types and ARM instructions of the running framework, as declarations that the compiler replaces by instructions. Members
/// whose signature holds anything but numbers, pointers and 64- and 128-bit vectors are left out.
/// </summary>
/// <remarks>
/// A body calls itself: that is how the framework writes intrinsics, and what the compiler needs where an immediate operand is no constant.
/// A method that the compiler does not know after all comes out as a call of a throw helper, for which the build looks.
/// </remarks>
internal static class IntrinsicsSource
{
    private const string Intrinsic = "[System.Runtime.CompilerServices.Intrinsic]";
    private const BindingFlags Statics = BindingFlags.Static | BindingFlags.Public | BindingFlags.DeclaredOnly;

    private static readonly Type[] VectorTypes = [typeof(Vector64<>), typeof(Vector128<>)];

    public static string Write()
    {
        var source = new StringBuilder();
        source.AppendLine("namespace System.Runtime.Intrinsics\n{");
        WriteVector(source, "Vector64", "private readonly ulong _00;");
        WriteVector(source, "Vector128", "private readonly Vector64<T> _lower; private readonly Vector64<T> _upper;");
        WriteClass(source, typeof(Vector64));
        WriteClass(source, typeof(Vector128));
        source.AppendLine("}\n\nnamespace System.Runtime.Intrinsics.Arm\n{");
        WriteClass(source, typeof(ArmBase));
        WriteClass(source, typeof(AdvSimd));
        WriteClass(source, typeof(Dp));
        source.AppendLine("}");
        return source.ToString();
    }

    private static void WriteVector(StringBuilder source, string name, string fields)
    {
        string vector = $"{name}<T>";
        source.AppendLine($"{Intrinsic} public readonly unsafe struct {vector}\n{{\n    {fields}");
        foreach (string constant in (string[])["Zero", "AllBitsSet", "One", "Indices"])
        {
            source.AppendLine($"    public static {vector} {constant} {{ {Intrinsic} get => {constant}; }}");
        }

        source.AppendLine($"    public static int Count {{ {Intrinsic} get => Count; }}");
        foreach (string binary in (string[])["+", "-", "*", "/", "&", "|", "^"])
        {
            source.AppendLine($"    {Intrinsic} public static {vector} operator {binary}({vector} a, {vector} b) => a {binary} b;");
        }

        foreach (string shift in (string[])["<<", ">>", ">>>"])
        {
            source.AppendLine($"    {Intrinsic} public static {vector} operator {shift}({vector} a, int b) => a {shift} b;");
        }

        source.AppendLine($"    {Intrinsic} public static {vector} operator *({vector} a, T b) => a * b;");
        source.AppendLine($"    {Intrinsic} public static {vector} operator ~({vector} a) => ~a;");
        source.AppendLine($"    {Intrinsic} public static {vector} operator -({vector} a) => -a;\n}}");
    }

    private static void WriteClass(StringBuilder source, Type type)
    {
        string modifier = type is { IsAbstract: true, IsSealed: true } ? "static" : "abstract";
        source.AppendLine($"{Intrinsic} public unsafe {modifier} class {type.Name}\n{{");
        foreach (PropertyInfo property in type.GetProperties(Statics).Where(property => property.PropertyType == typeof(bool)))
        {
            source.AppendLine($"    public static bool {property.Name} {{ {Intrinsic} get => {property.Name}; }}");
        }

        var methods = type.GetMethods(Statics).Where(method => !method.IsSpecialName && Types(method).All(IsKnown)
            && (!IsTuple(method.ReturnType) || method.Name == "Widen"));
        foreach (string method in methods.Select(Declaration).Distinct())
        {
            source.AppendLine($"    {Intrinsic} public static {method}");
        }

        foreach (Type nested in type.GetNestedTypes())
        {
            WriteClass(source, nested);
        }

        source.AppendLine("}");
    }

    private static string Declaration(MethodInfo method)
    {
        ParameterInfo[] parameters = method.GetParameters();
        string typeArguments = method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(Name))}>" : "";
        bool isExtension = method.IsDefined(typeof(ExtensionAttribute));
        IEnumerable<string> declared = parameters.Select((p, i) => $"{(i == 0 && isExtension ? "this " : "")}{Name(p.ParameterType)} a{i}");
        IEnumerable<string> passed = parameters.Select((p, i) => $"{(p.ParameterType.IsByRef ? "ref " : "")}a{i}");
        bool hasPointer = method.IsGenericMethod && parameters.Any(p => p.ParameterType.IsPointer);
        string constraint = hasPointer ? $" where {method.GetGenericArguments()[0].Name} : unmanaged" : "";
        string call = $"{method.Name}{typeArguments}({string.Join(", ", passed)})";
        if (method.IsGenericMethod || IsTuple(method.ReturnType))
        {
            // Not all of these are known to the compiler by name: some are written in terms of others, in the framework too.
            call = method.Name switch
            {
                "Load" => $"*({Name(method.ReturnType)}*)a0",
                "Store" => $"*({Name(parameters[0].ParameterType)}*)a1 = a0",
                "Widen" => "(WidenLower(a0), WidenUpper(a0))",
                _ => call,
            };
        }

        return $"{Name(method.ReturnType)} {method.Name}{typeArguments}({string.Join(", ", declared)}){constraint} => {call};";
    }

    private static IEnumerable<Type> Types(MethodInfo method) =>
        method.GetParameters().Select(p => p.ParameterType).Append(method.ReturnType);

    private static bool IsKnown(Type type) =>
        type.IsByRef || type.IsPointer ? IsKnown(type.GetElementType()!)
        : IsTuple(type) ? type.GetGenericArguments().All(IsKnown)
        : type.IsGenericType ? VectorTypes.Contains(type.GetGenericTypeDefinition())
        : type.IsGenericParameter || type.IsPrimitive || type == typeof(void);

    private static bool IsTuple(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ValueTuple<,>);

    private static string Name(Type type) =>
        type.IsByRef ? $"ref {Name(type.GetElementType()!)}"
        : type.IsPointer ? $"{Name(type.GetElementType()!)}*"
        : type.IsGenericType ? $"{type.Namespace}.{type.Name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>"
        : type.IsGenericParameter ? type.Name
        : type == typeof(void) ? "void"
        : $"System.{type.Name}";
}
