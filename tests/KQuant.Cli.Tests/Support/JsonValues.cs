using System.Text.Json;

namespace KQuant.Cli.Tests;

/// <summary>Short ways to the values of a JSON report.</summary>
internal static class JsonValues
{
    public static string Text(this JsonElement element, string key) => element.GetProperty(key).GetString()!;

    public static int Int(this JsonElement element, string key) => element.GetProperty(key).GetInt32();

    public static double Number(this JsonElement element, string key) => element.GetProperty(key).GetDouble();

    public static bool Flag(this JsonElement element, string key) => element.GetProperty(key).GetBoolean();

    public static bool IsNull(this JsonElement element, string key) => element.GetProperty(key).ValueKind == JsonValueKind.Null;

    public static JsonElement[] Items(this JsonElement element, string key) => [.. element.GetProperty(key).EnumerateArray()];

    public static int[] Ints(this JsonElement element, string key) => [.. element.Items(key).Select(item => item.GetInt32())];

    /// <summary>The item of an array whose key has a value.</summary>
    public static JsonElement Item(this JsonElement element, string array, string key, string value) =>
        element.Items(array).Single(item => item.Text(key) == value);
}
