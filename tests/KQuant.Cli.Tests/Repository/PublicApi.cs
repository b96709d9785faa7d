using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;

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

    /// <summary>The types whose part of two listings differs, by name and without arguments.</summary>
    public static IEnumerable<string> Changes(string before, string after)
    {
        ILookup<string, string> old = Parts(before), made = Parts(after);
        return old.Select(part => part.Key).Union(made.Select(part => part.Key))
            .Where(key => !old[key].SequenceEqual(made[key]))
            .Select(key => Regex.Match(key, @"(?:class|struct|interface|enum) (?<name>\w+)|delegate \S+ (?<name>\w+)").Groups["name"].Value)
            .Distinct()
            .Order(StringComparer.Ordinal);
    }

    // A type is the line that it begins with, up to its base types.
    private static ILookup<string, string> Parts(string listing) => listing.Split("\n\n  ").Skip(1).ToLookup(
        part => Regex.Match(part, @"^[^\n:]*?(?= : | where |\n|$)").Value, part => part.Split("\n\nnamespace ")[0].TrimEnd('\n'));

    private static string Head(Type type)
    {
        if (typeof(Delegate).IsAssignableFrom(type))
        {
            MethodInfo invoke = type.GetMethod("Invoke")!;
            return $"delegate {Returned(invoke)} {TypeName(type)}({Parameters(invoke)}){Constraints(type.GetGenericArguments())}";
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
        return $"{Attributes(type)}{modifier}{record}{kind} {TypeName(type)}{(list.Length == 0 ? "" : " : " + list)}{Constraints(type.GetGenericArguments())}";
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
        string required = Has<RequiredMemberAttribute>(property) ? "required " : "";
        string reference = get is not null && get.ReturnType.IsByRef ? RefKind(get.ReturnParameter) : "";
        return $"{Attributes(property)}{Modifiers((get ?? set)!)}{required}{reference}{Annotated(property.PropertyType, Nullability.Create(property))} {name} {{ {accessors}}}";
    }

    private static bool IsListed(MethodInfo method) =>
        IsVisible(method) && (!Has<CompilerGeneratedAttribute>(method) || method.Name == "Deconstruct") && !method.Name.Contains('<', StringComparison.Ordinal)
        && (!method.IsSpecialName || method.Name.StartsWith("op_", StringComparison.Ordinal))
        && method.GetBaseDefinition().DeclaringType != typeof(object);

    private static string Method(MethodInfo method)
    {
        string generic = method.IsGenericMethodDefinition ? $"<{string.Join(", ", method.GetGenericArguments().Select(TypeName))}>" : "";
        return $"{Attributes(method)}{Modifiers(method)}{Returned(method)} {method.Name}{generic}({Parameters(method)}){Constraints(method.GetGenericArguments())}";
    }

    private static string Returned(MethodInfo method) =>
        $"{Attributes(method.ReturnParameter)}{(method.ReturnType.IsByRef ? RefKind(method.ReturnParameter) : "")}{Annotated(method.ReturnType, Nullability.Create(method.ReturnParameter))}";

    private static string RefKind(ParameterInfo result) =>
        result.GetRequiredCustomModifiers().Contains(typeof(System.Runtime.InteropServices.InAttribute)) || Has<IsReadOnlyAttribute>(result) ? "ref readonly " : "ref ";

    /// <summary>What must hold for type arguments: a caller's code compiles or not.</summary>
    private static string Constraints(Type[] parameters) => string.Concat(parameters.Where(type => type.IsGenericParameter).Select(parameter =>
    {
        GenericParameterAttributes flags = parameter.GenericParameterAttributes;
        bool isUnmanaged = parameter.GetCustomAttributesData().Any(data => data.AttributeType.Name == "IsUnmanagedAttribute");
        bool isStruct = flags.HasFlag(GenericParameterAttributes.NotNullableValueTypeConstraint);
        var parts = new List<string>();
        if (isUnmanaged || isStruct)
        {
            parts.Add(isUnmanaged ? "unmanaged" : "struct");
        }
        else if (flags.HasFlag(GenericParameterAttributes.ReferenceTypeConstraint))
        {
            parts.Add("class");
        }
        else if (IsNotNull(parameter))
        {
            parts.Add("notnull");
        }

        parts.AddRange(parameter.GetGenericParameterConstraints().Where(type => type != typeof(ValueType)).Select(TypeName));
        if (flags.HasFlag(GenericParameterAttributes.DefaultConstructorConstraint) && !isStruct)
        {
            parts.Add("new()");
        }

        if (flags.HasFlag(GenericParameterAttributes.AllowByRefLike))
        {
            parts.Add("allows ref struct");
        }

        return parts.Count == 0 ? "" : $" where {parameter.Name} : {string.Join(", ", parts)}";
    }));

    // What the compiler notes of a type parameter: 1 for notnull; where it notes nothing, what it notes of the member or a type around it holds.
    private static bool IsNotNull(Type parameter)
    {
        CustomAttributeData? Find(MemberInfo member, string name) => member.GetCustomAttributesData().FirstOrDefault(data => data.AttributeType.Name == name);
        CustomAttributeData? note = Find(parameter, "NullableAttribute");
        for (MemberInfo? around = (MemberInfo?)parameter.DeclaringMethod ?? parameter.DeclaringType; note is null && around is not null; around = around.DeclaringType)
        {
            note = Find(around, "NullableContextAttribute");
        }

        return note?.ConstructorArguments is [{ Value: (byte)1 }];
    }

    /// <summary>Attributes that change what callers may write or are warned of.</summary>
    private static string Attributes(ICustomAttributeProvider member) => string.Concat(member.GetCustomAttributes(inherit: false)
        .Select(attribute => attribute switch
        {
            NotNullWhenAttribute condition => $"[NotNullWhen({Literal(condition.ReturnValue)})] ",
            MaybeNullWhenAttribute condition => $"[MaybeNullWhen({Literal(condition.ReturnValue)})] ",

            // The compiler marks every ref struct as obsolete, for compilers that do not know them.
            ObsoleteAttribute { Message: "Types with embedded references are not supported in this version of your compiler." } => "",
            FlagsAttribute or ObsoleteAttribute or NotNullAttribute or MaybeNullAttribute or AllowNullAttribute or DisallowNullAttribute
                or DoesNotReturnAttribute or RequiresUnreferencedCodeAttribute or RequiresDynamicCodeAttribute or ExperimentalAttribute
                => $"[{attribute.GetType().Name.Replace("Attribute", "", StringComparison.Ordinal)}] ",
            _ => "",
        })
        .Order(StringComparer.Ordinal));

    private static string Modifiers(MethodInfo method) =>
        (method.IsFamily || method.IsFamilyOrAssembly ? "protected " : "") + (method.IsStatic ? "static " : "")
        + (method is { IsAbstract: true, DeclaringType.IsInterface: false } || (method.IsStatic && method.IsAbstract) ? "abstract "
            : method.DeclaringType!.IsInterface ? ""
            : method.IsVirtual && method.GetBaseDefinition() != method ? "override "
            : method is { IsVirtual: true, IsFinal: false } ? "virtual "
            : "");

    private static string Parameters(MethodBase method) =>
        (Has<ExtensionAttribute>(method) ? "this " : "") + string.Join(", ", method.GetParameters().Select(Parameter));

    private static string Parameter(ParameterInfo parameter)
    {
        string passing = parameter.ParameterType.IsByRef
            ? parameter.IsOut ? "out " : parameter.IsIn ? Has<RequiresLocationAttribute>(parameter) ? "ref readonly " : "in " : "ref "
            : "";
        string spread = Has<ParamArrayAttribute>(parameter) || Has<ParamCollectionAttribute>(parameter) ? "params " : "";
        string value = parameter.HasDefaultValue ? $" = {Literal(parameter.DefaultValue)}" : "";
        return $"{Attributes(parameter)}{spread}{passing}{Annotated(parameter.ParameterType, Nullability.Create(parameter))} {parameter.Name}{value}";
    }

    private static string Annotated(Type type, NullabilityInfo info)
    {
        if (type.IsByRef)
        {
            type = type.GetElementType()!;
        }

        bool isNullable = !type.IsValueType && (info.ReadState == NullabilityState.Nullable || info.WriteState == NullabilityState.Nullable);
        string name = type.IsArray && info.ElementType is { } element ? Annotated(type.GetElementType()!, element) + "[]"
            : type.IsGenericType && Nullable.GetUnderlyingType(type) is null && info.GenericTypeArguments.Length == type.GetGenericArguments().Length
                ? $"{TypeName(type).Split('<')[0]}<{string.Join(", ", type.GetGenericArguments().Zip(info.GenericTypeArguments, Annotated))}>"
            : TypeName(type);
        return name + (isNullable ? "?" : "");
    }

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
