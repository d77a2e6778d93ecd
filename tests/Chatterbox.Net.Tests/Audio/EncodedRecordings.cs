using System.Diagnostics;
using Chatterbox.Audio;
using Chatterbox.Audio.Ffmpeg;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Audio;

/// <summary>Recordings that the installed programs encode, in a folder of their own.</summary>
internal sealed class EncodedRecordings : IDisposable
{
    private static readonly FfmpegProgram Program = new(FfmpegProgram.DefaultName);

    public string Folder { get; } = Directory.CreateTempSubdirectory("chatterbox-audio-").FullName;

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    public static void SkipWithoutFfmpeg() => Assert.SkipUnless(Program.IsInstalled, "ffmpeg is not installed");

    public static string Original(string name) => Path.Combine(Fixtures.Root, "audio", name);

    /// <summary>Encodes a recording with ffmpeg.</summary>
    public string Encode(string recording, string extension, string options)
    {
        SkipWithoutFfmpeg();
        var path = Path.Combine(Folder, "encoded." + extension);
        Run($"-i {Original(recording)} {options}", path);
        return path;
    }

    /// <summary>What ffmpeg decodes of a file: all channels mixed to one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Options of its input, such as the decoder.</param>
    public AudioClip Decode(string path, string options = "")
    {
        var decoded = Path.Combine(Folder, "decoded.wav");
        Run($"{options} -i {path} -map 0:a:0 -c:a pcm_f32le", decoded);
        return WavFile.Read(decoded);
    }

    public static void Run(string arguments, string output)
    {
        using var ffmpeg = Process.Start("ffmpeg", $"-v error -nostdin -y {arguments} {output}");
        if (!ffmpeg.WaitForExit(Waits.Limit))
        {
            ffmpeg.Kill();
            Assert.Fail($"In {Waits.Limit} ffmpeg has not ended: {arguments}");
        }

        Assert.SkipWhen(ffmpeg.ExitCode != 0, $"This ffmpeg cannot do '{arguments}'.");
    }
}
