using System.Runtime.InteropServices.Marshalling;

namespace KQuant.Metal.ObjC;

/// <summary>Strings and error texts. All of it inside an <see cref="AutoreleasePool"/>.</summary>
internal static unsafe class ObjCText
{
    /// <summary>An autoreleased <c>NSString</c>.</summary>
    public static nint ToNSString(string text)
    {
        byte* utf8 = Utf8StringMarshaller.ConvertToUnmanaged(text);
        nint result = ObjCRuntime.SendForObject(Selectors.NSString, Selectors.StringWithUTF8String, (nint)utf8);
        Utf8StringMarshaller.Free(utf8);
        return result;
    }

    /// <summary>The text of an <c>NSString</c>; empty for nil.</summary>
    public static string ToString(nint text) =>
        text == 0 ? "" : Utf8StringMarshaller.ConvertToManaged((byte*)ObjCRuntime.SendForPointer(text, Selectors.UTF8String)) ?? "";

    /// <summary>The text of an <c>NSError</c>, which has to be read before the pool is gone.</summary>
    public static string Describe(nint error) =>
        error == 0 ? "Metal gave no reason" : ToString(ObjCRuntime.SendForObject(error, Selectors.LocalizedDescription));
}
