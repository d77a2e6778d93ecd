using System.Diagnostics;
using System.Reflection;
using System.Text.RegularExpressions;
using Chatterbox.Ops.Cuda;

namespace Chatterbox.Tests.Ops;

/// <summary>What the kernels and their host code share, without a GPU: structures and constants.</summary>
public sealed partial class KernelSourceTests
{
    private const string Types = """
        #define __device__
        typedef unsigned short half, bf16;
        typedef unsigned char u8;
        typedef unsigned short u16;
        typedef unsigned long long u64;
        typedef unsigned int u32;
        struct alignas(8) float2 { float x, y; };
        struct alignas(16) uint4 { unsigned int x, y, z, w; };

        """;

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    private static readonly Dictionary<string, KernelSource> BySource = typeof(KernelSource)
        .Assembly.GetTypes()
        .SelectMany(type => type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
        .Where(field => field.FieldType == typeof(KernelSource))
        .Select(field => (KernelSource)field.GetValue(null)!)
        .ToDictionary(source => source.File);

    public static TheoryData<string> Sources => [.. BySource.Keys.Order(StringComparer.Ordinal)];

    [Fact]
    public void Every_file_of_kernels_has_its_host()
    {
        var files = typeof(KernelSource)
            .Assembly.GetManifestResourceNames()
            .Where(name => name.EndsWith(".cu", StringComparison.Ordinal))
            .Select(name => name["Chatterbox.Ops.Cuda.Kernels.".Length..]);
        Assert.Equal(files.Order(StringComparer.Ordinal), BySource.Keys.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_structure_of_arguments_mirrors_one_of_a_kernel() =>
        Assert.All(
            typeof(KernelSource)
                .Assembly.GetTypes()
                .Where(type => type.IsValueType && type.Name.EndsWith("Arguments", StringComparison.Ordinal)),
            type => Assert.NotNull(type.GetCustomAttribute<KernelStructAttribute>())
        );

    /// <summary>Those that kernels take, and those that lie in these or at addresses in these.</summary>
    [Theory]
    [MemberData(nameof(Sources))]
    public void Every_structure_that_the_host_writes_is_mirrored(string file)
    {
        var source = BySource[file];
        var declared = StructuresOf(source);
        var seen = new HashSet<string>();
        var next = new Stack<string>(Parameter().Matches(source.Text).Select(match => match.Groups[1].Value));
        Assert.NotEmpty(next);
        while (next.TryPop(out var name))
        {
            if (seen.Add(name))
            {
                Word().Matches(declared[name]).Select(match => match.Value).Where(declared.ContainsKey).ToList().ForEach(next.Push);
            }
        }

        Assert.Subset(KernelLayout.Of(source.Files).Select(KernelLayout.NameOf).ToHashSet(), seen);
    }

    [Theory]
    [MemberData(nameof(Sources))]
    public void Mirrored_structures_have_the_same_fields_in_the_same_order(string file)
    {
        var declared = StructuresOf(BySource[file]);
        Assert.All(
            KernelLayout.Of(BySource[file].Files),
            type => Assert.Equal(FieldsOf(declared[KernelLayout.NameOf(type)]), KernelLayout.FieldsOf(type))
        );
    }

    /// <summary>The very checks that the kernels are compiled with.</summary>
    [Theory]
    [MemberData(nameof(Sources))]
    public void Mirrored_structures_pass_the_checks_of_a_compiler(string file) => Assert.Equal("", Compile(BySource[file], text => text));

    [Theory]
    [InlineData("a field more, in the padding at the end", "    int outputs;\n", "    int outputs, more;\n")]
    [InlineData("a field less", "    float* y;                   // [MOST_ROWS, outputs]\n", "")]
    [InlineData("fields that changed places", "const float* sines;\n    uint4* attended;", "uint4* attended;\n    const float* sines;")]
    [InlineData("a larger field", "    int outputs;", "    long long outputs;")]
    [InlineData("another name", "    int outputs;", "    int rows;")]
    public void A_structure_that_differs_does_not_compile(string difference, string before, string after)
    {
        var errors = Compile(BySource["t3_batch.cu"], text => ReplaceOnce(text, before, after));
        Assert.False(errors == "", $"{difference} was not found");
        Assert.Contains("Arguments", errors, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Sources))]
    public void Constants_of_the_host_are_used_and_not_declared_again(string file)
    {
        var source = BySource[file];
        var text = Comment().Replace(string.Concat(TextsOf(source)), "");
        Assert.All(
            source.Defines([]),
            define =>
            {
                var name = define["-D".Length..define.IndexOf('=', StringComparison.Ordinal)];
                if (name is not "LANES" and not "VECTOR") // which all sources have
                {
                    Assert.Matches($@"\b{name}\b", text);
                }

                Assert.DoesNotMatch($@"constexpr [^;()]*\b{name} =|enum [^;]*\b{name}\b|#define {name}\b", text);
            }
        );
    }

    /// <summary>The errors of a C++ compiler over a source's mirrored structures and their checks.</summary>
    private static string Compile(KernelSource source, Func<string, string> change)
    {
        var compiler = new[] { "g++", "clang++" }.FirstOrDefault(IsInstalled);
        Assert.SkipWhen(compiler is null, "no C++ compiler is installed: neither g++ nor clang++");
        var (structures, mirrored) = (StructuresOf(source), KernelLayout.Of(source.Files).ToArray());
        var names = mirrored.Select(KernelLayout.NameOf).ToHashSet();
        var declarations = string.Concat(structures.Where(structure => names.Contains(structure.Key)).Select(structure => structure.Value));
        var program = Types + KernelLayout.Preamble + change(declarations) + string.Concat(mirrored.Select(KernelLayout.Check));
        var start = new ProcessStartInfo(compiler!, ["-std=c++17", "-fsyntax-only", .. source.Defines([]), "-x", "c++", "-"])
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(program);
        process.StandardInput.Close();
        if (!process.WaitForExit(Limit))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{compiler} has not ended after {Limit}.");
        }

        return errors.GetAwaiter().GetResult();
    }

    private static bool IsInstalled(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Any(folder => File.Exists(Path.Combine(folder, program)));

    /// <summary>Texts of a source and of what it includes, what is included first.</summary>
    private static IEnumerable<string> TextsOf(KernelSource source) =>
        source
            .Files.Reverse()
            .Select(file => file == source.File ? source.Text : KernelSource.Headers.Single(header => header.Name == file).Text);

    /// <summary>Declarations by name, in the order in which the compiler sees them.</summary>
    private static Dictionary<string, string> StructuresOf(KernelSource source) =>
        TextsOf(source).SelectMany(text => Structure().Matches(text)).ToDictionary(match => match.Groups[1].Value, match => match.Value);

    private static IEnumerable<string> FieldsOf(string structure) =>
        Name()
            .Matches(Comment().Replace(structure[structure.IndexOf('{', StringComparison.Ordinal)..], ""))
            .Select(match => match.Groups[1].Value);

    private static string ReplaceOnce(string text, string before, string after)
    {
        var at = text.IndexOf(before, StringComparison.Ordinal);
        Assert.True(at >= 0, $"There is no '{before}' any more.");
        return text[..at] + after + text[(at + before.Length)..];
    }

    [GeneratedRegex(@"\(const __grid_constant__ (\w+) a\)")]
    private static partial Regex Parameter();

    [GeneratedRegex(@"^struct (\w+)[^\n;]*\n\{\n.*?^\};\n", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Structure();

    [GeneratedRegex(@"//[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\b\w+\b")]
    private static partial Regex Word();

    // A field's name is followed by the next one's, or by the end of the declaration, perhaps after the length of an array.
    [GeneratedRegex(@"(\w+)(?:\[\w+\])?\s*[,;](?=[^}]*\})")]
    private static partial Regex Name();
}
