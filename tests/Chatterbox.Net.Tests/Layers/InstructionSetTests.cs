using System.Diagnostics;
using Chatterbox.Tests.Ops;
using Chatterbox.Tests.Parity;
using Chatterbox.Tests.T3;

namespace Chatterbox.Tests.Layers;

/// <summary>Layers and kernels under each set of instructions that some processor has, in processes of their own: oneDNN, torch and .NET
/// are limited by environment variables, which are read once.</summary>
public class InstructionSetTests
{
    private static readonly string Executable = Path.ChangeExtension(
        Path.Combine(AppContext.BaseDirectory, Path.GetFileName(typeof(InstructionSetTests).Assembly.Location)),
        OperatingSystem.IsWindows() ? "exe" : null
    );

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10); // far more than it takes

    /// <summary>Limits of oneDNN and of torch; empty for none.</summary>
    public static MatrixTheoryData<string, string> Limits => new(["", "AVX512_CORE", "AVX2", "AVX", "SSE41"], ["", "avx2"]);

    [Theory, MemberData(nameof(Limits))]
    public Task Layers_are_right(string oneDnn, string torch) =>
        RunAsync(Classes(typeof(LayerNumericsTests)), ("ONEDNN_MAX_CPU_ISA", oneDnn), ("ATEN_CPU_CAPABILITY", torch));

    /// <summary>This library's own kernels with the widest vectors turned off, as on processors that lack them.</summary>
    [Theory]
    [InlineData("EnableAVX512", 256)]
    [InlineData("EnableAVX2", 128)]
    [InlineData("EnableHWIntrinsic", 128)]
    public Task Kernels_are_right(string turnedOff, int vectorBits) =>
        RunAsync(
            Classes(typeof(RowProductsTests), typeof(CpuOpsTests), typeof(CpuBackboneTests)),
            ($"DOTNET_{turnedOff}", "0"),
            (RowProductsTests.MostVectorBits, $"{vectorBits}")
        );

    private static string[] Classes(params Type[] types) => [.. types.SelectMany(type => new[] { "-class", type.FullName! })];

    /// <summary>Runs some of these tests in a process of their own, which has to end with exit code 0.</summary>
    /// <param name="tests">Which, as the runner's options.</param>
    /// <param name="environment">Variables of that process; an empty value removes one.</param>
    internal static async Task RunAsync(string[] tests, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(Executable, [.. tests, "-noLogo", "-noColor"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment)
        {
            start.Environment.Remove(name);
            if (value.Length > 0)
            {
                start.Environment[name] = value;
            }
        }

        start.Environment["OMP_WAIT_POLICY"] = "PASSIVE"; // threads that spin would take the processor from each other on a busy machine
        using var process = Process.Start(start)!;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(Limit);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(limit.Token);
            var errors = process.StandardError.ReadToEndAsync(limit.Token);
            await process.WaitForExitAsync(limit.Token);
            var text = await output + await errors;
            Close.Report(text.Trim().Split('\n')[^1]);
            Assert.True(process.ExitCode == 0, text);
        }
        catch (OperationCanceledException) when (!TestContext.Current.CancellationToken.IsCancellationRequested)
        {
            Assert.Fail($"The tests took more than {Limit.TotalMinutes} minutes.");
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }
}
