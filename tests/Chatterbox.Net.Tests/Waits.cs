using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Chatterbox.Tests;

/// <summary>Waits of tests: each has a limit, and fails with what it waited for.</summary>
internal static class Waits
{
    /// <summary>Long enough for the busiest machine: a test does not depend on it.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    /// <summary>Waits until something is so.</summary>
    public static Task Until(Func<bool> isSo, [CallerArgumentExpression(nameof(isSo))] string what = "") =>
        Until(() => Task.FromResult(isSo()), what);

    /// <summary>Waits until something is so that has to be asked for.</summary>
    public static async Task Until(Func<Task<bool>> isSo, [CallerArgumentExpression(nameof(isSo))] string what = "")
    {
        var began = Stopwatch.GetTimestamp();
        while (!await isSo())
        {
            Assert.True(Stopwatch.GetElapsedTime(began) < Limit, $"In {Limit} it has not come true that {what}");
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Waits for a signal.</summary>
    public static async Task Arrives(this SemaphoreSlim signal, [CallerArgumentExpression(nameof(signal))] string what = "") =>
        Assert.True(await signal.WaitAsync(Limit, TestContext.Current.CancellationToken), $"In {Limit} no signal has come of {what}");

    /// <summary>Waits for something to happen that is a task.</summary>
    public static async Task Arrives(this Task task, [CallerArgumentExpression(nameof(task))] string what = "")
    {
        var first = await Task.WhenAny(task, Task.Delay(Limit, TestContext.Current.CancellationToken));
        Assert.True(first == task, $"In {Limit} this has not ended: {what}");
        await task;
    }

    /// <summary>Waits for a program to end; one that does not is ended.</summary>
    public static async Task Ends(this Process process, [CallerArgumentExpression(nameof(process))] string what = "")
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(Limit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"In {Limit} the program has not ended: {what}");
        }
    }
}
