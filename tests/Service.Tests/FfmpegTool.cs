using System.Diagnostics;

namespace Chatterbox.Service.Tests;

/// <summary>The installed ffmpeg, to look at what the service made with it.</summary>
internal static class FfmpegTool
{
    public static bool IsInstalled { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(f => File.Exists(Path.Combine(f, "ffmpeg")));

    public static void SkipIfMissing() => Assert.SkipUnless(IsInstalled, "ffmpeg is not installed");

    /// <summary>Any format to 24 kHz mono samples.</summary>
    public static async Task<float[]> Decode(byte[] file)
    {
        using var process = Process.Start(new ProcessStartInfo("ffmpeg", "-hide_banner -loglevel error -i pipe:0 -f s16le -ar 24000 -ac 1 pipe:1")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        using var output = new MemoryStream();
        var reading = process.StandardOutput.BaseStream.CopyToAsync(output);
        await process.StandardInput.BaseStream.WriteAsync(file);
        process.StandardInput.Close();
        await reading;
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
        return Wav.Pcm(output.ToArray());
    }
}
