using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;

namespace KQuant.Cli.Tests.Repository;

/// <summary>Writes down what a package offers, one line for each type and member, so that a change of it cannot go unseen.</summary>
internal static class PublicApi
{
    private const BindingFlags Declared =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static readonly NullabilityInfoContext Nullability = new();

    /// <summary>The listing of an assembly.</summary>
    public static string Describe(Assembly assembly)
    {
        var text = new StringBuilder();
        foreach (IGrouping<string?, Type> space in assembly.GetExportedTypes().GroupBy(type => type.Namespace).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            text.Append(text.Length == 0 ? "" : "\n").Append("namespace ").Append(space.Key).Append('\n');
            foreach (Type type in space.OrderBy(TypeName, StringComparer.Ordinal))
            {
                text.Append("\n  ").Append(Head(type)).Append('\n');
                foreach (string member in Members(type))
                {
                    text.Append("    ").Append(member).Append('\n');
                }
            }
        }

        return text.ToString();
    }

    private static string Head(Type type)
    {
        if (typeof(Delegate).IsAssignableFrom(type))
        {
            return $"delegate {TypeName(type)}";
        }

        string kind = type.IsEnum ? "enum"
            : type.IsInterface ? "interface"
            : type.IsValueType ? (type.IsByRefLike ? "ref struct" : "struct")
            : "class";
        string modifier = type.IsEnum || type.IsInterface || (type.IsValueType && !Has<IsReadOnlyAttribute>(type)) ? ""
            : type.IsValueType ? "readonly "
            : type is { IsAbstract: true, IsSealed: true } ? "static "
            : type.IsAbstract ? "abstract "
            : type.IsSealed ? "sealed "
            : "";
        IEnumerable<string> bases = (type.IsEnum ? [] : type.GetInterfaces().Except(Inherited(type)))
            .Where(candidate => candidate.IsPublic && candidate.Name != "IEquatable`1")
            .Select(TypeName)
            .Order(StringComparer.Ordinal);
        if (type.BaseType is Type parent && parent != typeof(object) && parent != typeof(ValueType) && parent != typeof(Enum))
        {
            bases = bases.Prepend(TypeName(parent));
        }

        string list = string.Join(", ", type.IsEnum ? [TypeName(Enum.GetUnderlyingType(type))] : bases);
        string record = !type.IsEnum && type.GetMethod("PrintMembers", Declared) is not null ? "record " : "";
        return $"{modifier}{record}{kind} {TypeName(type)}{(list.Length == 0 ? "" : " : " + list)}";
    }

    private static IEnumerable<Type> Inherited(Type type) =>
        (type.BaseType?.GetInterfaces() ?? []).Concat(type.GetInterfaces().Where(part => part.IsPublic).SelectMany(part => part.GetInterfaces()));

    private static IEnumerable<string> Members(Type type)
    {
        if (type.IsEnum)
        {
            return Enum.GetNames(type).Select(name => $"{name} = {Convert.ToInt64(Enum.Parse(type, name), CultureInfo.InvariantCulture)}");
        }

        var lines = new List<string>();
        lines.AddRange(type.GetFields(Declared).Where(field => field.IsPublic && !Has<CompilerGeneratedAttribute>(field)).Select(Field));
        lines.AddRange(type.GetConstructors(Declared).Where(IsVisible).Select(constructor => $"new({Parameters(constructor)})"));
        lines.AddRange(type.GetProperties(Declared).Where(property => property.GetAccessors(true).Any(IsVisible) && property.Name != "EqualityContract").Select(Property));
        lines.AddRange(type.GetMethods(Declared).Where(IsListed).Select(Method));
        return lines.Order(StringComparer.Ordinal);
    }

    private static string Field(FieldInfo field) => field.IsLiteral
        ? $"const {TypeName(field.FieldType)} {field.Name} = {Literal(field.GetRawConstantValue())}"
        : $"{(field.IsStatic ? "static " : "")}{(field.IsInitOnly ? "readonly " : "")}{TypeName(field.FieldType)} {field.Name}";

    private static string Property(PropertyInfo property)
    {
        MethodInfo? get = property.GetMethod is { } getter && IsVisible(getter) ? getter : null;
        MethodInfo? set = property.SetMethod is { } setter && IsVisible(setter) ? setter : null;
        bool isInit = set?.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) == true;
        string accessors = (get is null ? "" : "get; ") + (set is null ? "" : isInit ? "init; " : "set; ");
        ParameterInfo[] index = property.GetIndexParameters();
        string name = index.Length == 0 ? property.Name : $"this[{string.Join(", ", index.Select(Parameter))}]";
        return $"{Modifiers((get ?? set)!)}{Annotated(property.PropertyType, Nullability.Create(property))} {name} {{ {accessors}}}";
    }

    private static bool IsListed(MethodInfo method) =>
        IsVisible(method) && !Has<CompilerGeneratedAttribute>(method) && !method.Name.Contains('<', StringComparison.Ordinal)
        && (!method.IsSpecialName || method.Name.StartsWith("op_", StringComparison.Ordinal))
        && method.GetBaseDefinition().DeclaringType != typeof(object);

    private static string Method(MethodInfo method)
    {
        string generic = method.IsGenericMethodDefinition ? $"<{string.Join(", ", method.GetGenericArguments().Select(TypeName))}>" : "";
        return $"{Modifiers(method)}{Annotated(method.ReturnType, Nullability.Create(method.ReturnParameter))} {method.Name}{generic}({Parameters(method)})";
    }

    private static string Modifiers(MethodInfo method) =>
        (method.IsFamily || method.IsFamilyOrAssembly ? "protected " : "") + (method.IsStatic ? "static " : "")
        + (method is { IsAbstract: true, DeclaringType.IsInterface: false } || (method.IsStatic && method.IsAbstract) ? "abstract " : "");

    private static string Parameters(MethodBase method) =>
        (Has<ExtensionAttribute>(method) ? "this " : "") + string.Join(", ", method.GetParameters().Select(Parameter));

    private static string Parameter(ParameterInfo parameter)
    {
        string passing = parameter.ParameterType.IsByRef ? parameter.IsOut ? "out " : parameter.IsIn ? "in " : "ref " : "";
        string spread = Has<ParamArrayAttribute>(parameter) || Has<ParamCollectionAttribute>(parameter) ? "params " : "";
        string value = parameter.HasDefaultValue ? $" = {Literal(parameter.DefaultValue)}" : "";
        return $"{spread}{passing}{Annotated(parameter.ParameterType, Nullability.Create(parameter))} {parameter.Name}{value}";
    }

    private static string Annotated(Type type, NullabilityInfo info) =>
        TypeName(type) + (!type.IsValueType && (info.ReadState == NullabilityState.Nullable || info.WriteState == NullabilityState.Nullable) ? "?" : "");

    private static string TypeName(Type type)
    {
        if (type.IsByRef)
        {
            return TypeName(type.GetElementType()!);
        }

        if (type.IsArray)
        {
            return TypeName(type.GetElementType()!) + "[]";
        }

        if (type.IsPointer)
        {
            return TypeName(type.GetElementType()!) + "*";
        }

        if (Nullable.GetUnderlyingType(type) is Type inner)
        {
            return TypeName(inner) + "?";
        }

        string name = Keyword(type) ?? (type.IsNested && !type.IsGenericParameter ? $"{TypeName(type.DeclaringType!)}.{type.Name}" : type.Name);
        return type.IsGenericType
            ? $"{name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(TypeName))}>"
            : name;
    }

    private static string? Keyword(Type type) => type.IsEnum ? null : Type.GetTypeCode(type) switch
    {
        TypeCode.Boolean => "bool",
        TypeCode.Byte => "byte",
        TypeCode.SByte => "sbyte",
        TypeCode.Int16 => "short",
        TypeCode.UInt16 => "ushort",
        TypeCode.Int32 => "int",
        TypeCode.UInt32 => "uint",
        TypeCode.Int64 => "long",
        TypeCode.UInt64 => "ulong",
        TypeCode.Single => "float",
        TypeCode.Double => "double",
        TypeCode.String => "string",
        _ => type == typeof(void) ? "void" : type == typeof(object) ? "object" : null,
    };

    private static string Literal(object? value) => value switch
    {
        null => "default",
        string text => $"\"{text}\"",
        bool flag => flag ? "true" : "false",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private static bool IsVisible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static bool Has<TAttribute>(MemberInfo member)
        where TAttribute : Attribute => member.IsDefined(typeof(TAttribute), inherit: false);

    private static bool Has<TAttribute>(ParameterInfo parameter)
        where TAttribute : Attribute => parameter.IsDefined(typeof(TAttribute), inherit: false);
}
