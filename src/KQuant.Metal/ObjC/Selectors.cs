namespace KQuant.Metal.ObjC;

/// <summary>Names of the messages and classes, resolved once.</summary>
internal static class Selectors
{
    public static readonly nint New = Get("new");
    public static readonly nint Retain = Get("retain");
    public static readonly nint Release = Get("release");
    public static readonly nint RespondsToSelector = Get("respondsToSelector:");
    public static readonly nint StringWithUTF8String = Get("stringWithUTF8String:");
    public static readonly nint UTF8String = Get("UTF8String");
    public static readonly nint LocalizedDescription = Get("localizedDescription");
    public static readonly nint FileUrlWithPath = Get("fileURLWithPath:");
    public static readonly nint Count = Get("count");
    public static readonly nint ObjectAtIndex = Get("objectAtIndex:");

    public static readonly nint Name = Get("name");
    public static readonly nint MaxBufferLength = Get("maxBufferLength");
    public static readonly nint RecommendedMaxWorkingSetSize = Get("recommendedMaxWorkingSetSize");
    public static readonly nint HasUnifiedMemory = Get("hasUnifiedMemory");
    public static readonly nint SupportsFamily = Get("supportsFamily:");
    public static readonly nint NewCommandQueue = Get("newCommandQueue");
    public static readonly nint NewBuffer = Get("newBufferWithLength:options:");
    public static readonly nint NewBufferNoCopy = Get("newBufferWithBytesNoCopy:length:options:deallocator:");
    public static readonly nint NewLibraryFromUrl = Get("newLibraryWithURL:error:");
    public static readonly nint NewLibraryFromData = Get("newLibraryWithData:error:");
    public static readonly nint NewLibraryFromSource = Get("newLibraryWithSource:options:error:");
    public static readonly nint FunctionNames = Get("functionNames");
    public static readonly nint SetLanguageVersion = Get("setLanguageVersion:");
    public static readonly nint SetMathMode = Get("setMathMode:");
    public static readonly nint SetFastMathEnabled = Get("setFastMathEnabled:");
    public static readonly nint NewFunction = Get("newFunctionWithName:");
    public static readonly nint NewPipeline = Get("newComputePipelineStateWithFunction:error:");
    public static readonly nint MaxThreads = Get("maxTotalThreadsPerThreadgroup");
    public static readonly nint SimdWidth = Get("threadExecutionWidth");
    public static readonly nint Contents = Get("contents");
    public static readonly nint Length = Get("length");

    public static readonly nint CommandBuffer = Get("commandBuffer");
    public static readonly nint ComputeCommandEncoder = Get("computeCommandEncoder");
    public static readonly nint SetPipeline = Get("setComputePipelineState:");
    public static readonly nint SetBuffer = Get("setBuffer:offset:atIndex:");
    public static readonly nint SetBytes = Get("setBytes:length:atIndex:");
    public static readonly nint SetThreadgroupMemory = Get("setThreadgroupMemoryLength:atIndex:");
    public static readonly nint DispatchGroups = Get("dispatchThreadgroups:threadsPerThreadgroup:");
    public static readonly nint EndEncoding = Get("endEncoding");
    public static readonly nint Commit = Get("commit");
    public static readonly nint WaitUntilCompleted = Get("waitUntilCompleted");
    public static readonly nint Status = Get("status");
    public static readonly nint Error = Get("error");

    public static readonly nint NSString = ObjCRuntime.GetClass("NSString");
    public static readonly nint NSUrl = ObjCRuntime.GetClass("NSURL");
    public static readonly nint CompileOptions = ObjCRuntime.GetClass("MTLCompileOptions");

    // Makes the fields wait for their first use: only where there is Objective-C can they be asked for.
    static Selectors()
    {
    }

    private static nint Get(string name) => ObjCRuntime.RegisterSelector(name);
}
