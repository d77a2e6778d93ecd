using System.Diagnostics;

namespace Chatterbox.Service.Tests;

/// <summary>The installed ffmpeg, to look at what the service made with it.</summary>
internal static class FfmpegTool
{
    public static bool IsInstalled { get; } =
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(f => File.Exists(Path.Combine(f, "ffmpeg")));

    public static void SkipIfMissing() => Assert.SkipUnless(IsInstalled, "ffmpeg is not installed");

    /// <summary>Any format to 24 kHz mono samples.</summary>
    /// <param name="file">The file.</param>
    /// <param name="isWhole">False where more of it is to come: then there may be nothing to hear yet.</param>
    public static async Task<float[]> Decode(byte[] file, bool isWhole = true)
    {
        using var process = Process.Start(
            new ProcessStartInfo("ffmpeg", "-hide_banner -loglevel fatal -i pipe:0 -f s16le -ar 24000 -ac 1 pipe:1")
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
            }
        )!;
        using var output = new MemoryStream();
        var reading = process.StandardOutput.BaseStream.CopyToAsync(output);
        await process.StandardInput.BaseStream.WriteAsync(file);
        process.StandardInput.Close();
        await reading.WaitAsync(Waits.Limit);
        await process.Ends("ffmpeg");
        Assert.True(process.ExitCode == 0 || !isWhole);
        return Wav.Pcm(output.ToArray());
    }
}
