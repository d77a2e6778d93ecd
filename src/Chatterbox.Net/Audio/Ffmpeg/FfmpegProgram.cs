using System.ComponentModel;
using System.Diagnostics;

namespace Chatterbox.Audio.Ffmpeg;

/// <summary>The ffmpeg program, where one is installed.</summary>
/// <param name="program">Its path, or its name in PATH.</param>
internal sealed class FfmpegProgram(string program)
{
    /// <summary>The name it usually has.</summary>
    public const string DefaultName = "ffmpeg";

    /// <summary>How it is installed, as an instruction.</summary>
    public const string HowToInstall =
        "Install ffmpeg (Linux: apt install ffmpeg; Windows: winget install ffmpeg; macOS: brew install ffmpeg)";

    /// <summary>Full path of the program; null where there is none. It is searched for each time: it can be installed or removed
    /// meanwhile.</summary>
    public string? Path =>
        program.Contains(System.IO.Path.DirectorySeparatorChar)
            ? File.Exists(program)
                ? program
                : null
            : (Environment.GetEnvironmentVariable("PATH") ?? "")
                .Split(System.IO.Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
                .Select(folder => System.IO.Path.Combine(folder, OperatingSystem.IsWindows() ? program + ".exe" : program))
                .FirstOrDefault(File.Exists);

    /// <summary>Whether it is installed.</summary>
    public bool IsInstalled => Path is not null;

    /// <summary>Starts it, with its input, output and messages as pipes and within <see cref="ProcessLimits"/>.</summary>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="seconds">Processor time that it may take.</param>
    /// <exception cref="FfmpegMissingException">It is not installed, or cannot be started.</exception>
    public Process Start(IEnumerable<string> arguments, int seconds = ProcessLimits.UsualSeconds)
    {
        var start = new ProcessStartInfo(Path ?? throw new FfmpegMissingException($"'{program}' is not installed here."))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (var argument in (string[])["-hide_banner", "-loglevel", "error", "-nostats", .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        try
        {
            var process = Process.Start(start)!;
            ProcessLimits.Apply(process, seconds);
            return process;
        }
        catch (Win32Exception e)
        {
            throw new FfmpegMissingException($"{program} cannot be started: {e.Message}.", e);
        }
    }

    /// <summary>Ends a process, and what it has started, without waiting.</summary>
    public static void Kill(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or AggregateException)
        {
            // It has ended.
        }
    }

    /// <summary>Reads the messages of a process to their end, so that it never waits; keeps the first of them.</summary>
    public static async Task<string> ReadMessages(Process process)
    {
        const int MostKept = 2000;
        var kept = "";
        var buffer = new char[512];
        int read;
        while ((read = await process.StandardError.ReadAsync(buffer).ConfigureAwait(false)) > 0)
        {
            kept = kept.Length < MostKept ? kept + new string(buffer, 0, read) : kept;
        }

        return kept.Trim();
    }
}

/// <summary>ffmpeg is not installed, or was removed.</summary>
internal sealed class FfmpegMissingException(string message, Exception? cause = null) : Exception(message, cause);
