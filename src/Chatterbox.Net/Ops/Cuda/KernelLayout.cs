using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;

namespace Chatterbox.Ops.Cuda;

/// <summary>Marks a structure that kernels read as the host wrote it: field for field the one of a source file. Each kernel that includes
/// the file is compiled with a check that both agree.</summary>
/// <param name="file">The source file or header that declares it.</param>
/// <param name="name">Its name there, if it has another one.</param>
[AttributeUsage(AttributeTargets.Struct)]
internal sealed class KernelStructAttribute(string file, string? name = null) : Attribute
{
    /// <summary>The source file or header that declares it.</summary>
    public string File => file;

    /// <summary>Its name there, or null for the same as in C#.</summary>
    public string? Name => name;
}

/// <summary>Checks, in C++, that a structure of a kernel is laid out as the C# type that mirrors it: its size, each field's name, place and
/// size, and that there is no further field.</summary>
/// <remarks>A C# field LdX is ld_x there.</remarks>
internal static partial class KernelLayout
{
    /// <summary><c>offsetof</c>, for which NVIDIA's run-time compiler has no header, and before 13.4 no built-in.</summary>
    public const string Preamble = """
        #if defined(__CUDACC_RTC__)
        #define OFFSET_OF(type, field) __INTADDR__(&((type*)0)->field)
        #else
        #define OFFSET_OF(type, field) __builtin_offsetof(type, field)
        #endif

        """;

    private static readonly Lazy<ILookup<string, Type>> ByFile = new(() =>
        typeof(KernelLayout)
            .Assembly.GetTypes()
            .Where(type => type.IsValueType && type.GetCustomAttribute<KernelStructAttribute>() is not null)
            .OrderBy(NameOf, StringComparer.Ordinal)
            .ToLookup(type => type.GetCustomAttribute<KernelStructAttribute>()!.File)
    );

    /// <summary>The C# types that mirror the structures of some files.</summary>
    public static IEnumerable<Type> Of(IEnumerable<string> files) => files.SelectMany(file => ByFile.Value[file]);

    /// <summary>Name of the structure that a C# type mirrors.</summary>
    public static string NameOf(Type type) => type.GetCustomAttribute<KernelStructAttribute>()!.Name ?? type.Name;

    /// <summary>Names of the structure's fields, in order.</summary>
    public static IEnumerable<string> FieldsOf(Type type) => Fields(type).Select(NameOf);

    /// <summary>The check of one structure.</summary>
    public static string Check(Type type)
    {
        var (name, fields) = (NameOf(type), Fields(type));
        var check = new StringBuilder().AppendLine(
            Assertion($"sizeof({name}) == {Marshal.SizeOf(type)}", $"{name} has another size in C#")
        );
        foreach (var field in fields)
        {
            check.AppendLine(
                Assertion(
                    $"OFFSET_OF({name}, {NameOf(field)}) == {OffsetOf(field)} && sizeof({name}::{NameOf(field)}) == {SizeOf(field)}",
                    $"{name}::{NameOf(field)} has another place or size in C#"
                )
            );
        }

        // Takes as many fields as C# has: one more could lie in the padding at the end.
        var each = string.Join(", ", fields.Select((_, i) => $"f{i}"));
        return check.AppendLine($"__device__ inline void fields_of({name}& x) {{ auto& [{each}] = x; }}").ToString();
    }

    private static FieldInfo[] Fields(Type type) =>
        [.. type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).OrderBy(OffsetOf)];

    private static long OffsetOf(FieldInfo field) => Marshal.OffsetOf(field.DeclaringType!, field.Name);

    private static string NameOf(FieldInfo field) => Word().Replace(field.Name, "_$0").ToLowerInvariant();

    private static int SizeOf(FieldInfo field) =>
        Marshal.SizeOf(field.FieldType.IsEnum ? Enum.GetUnderlyingType(field.FieldType) : field.FieldType);

    private static string Assertion(string condition, string message) => $"static_assert({condition}, \"{message}\");";

    [GeneratedRegex("(?<!^)[A-Z]")]
    private static partial Regex Word();
}
