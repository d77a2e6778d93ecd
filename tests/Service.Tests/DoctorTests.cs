using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Chatterbox.Tests.Models;

namespace Chatterbox.Service.Tests;

/// <summary>What the service says of itself: the doctor, how a model runs, and speech that fails.</summary>
public sealed class DoctorTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_doctor_checks_every_part_and_speaks()
    {
        var (code, output, error) = await Run("doctor", "--model", "tiny", "--device", "cpu", "--json");
        Assert.True(code == 0, output + error);
        var report = JsonDocument.Parse(output).RootElement;
        Assert.True(report.GetProperty("can_speak").GetBoolean());
        var findings = report.GetProperty("findings").EnumerateArray().ToList();
        string[] names =
        [
            "program",
            "libtorch",
            "processor",
            "tiny",
            "self-check",
            "T3 prefill",
            "T3 step",
            "S3Gen encoder",
            "S3Gen flow",
            "HiFT vocoder",
            "watermark",
            "speech",
            "ffmpeg",
            "MeCab",
            "VoicesFolder",
            "AudioFolder",
            "model cache",
            "network",
        ];
        Assert.Superset(names.ToHashSet(), findings.Select(finding => finding.GetProperty("name").GetString()!).ToHashSet());
        var bad = findings.Where(finding => finding.GetProperty("verdict").GetString() is "Warning" or "Fault");
        Assert.All(bad, finding => Assert.NotNull(finding.GetProperty("remedy").GetString()));
    }

    [Fact]
    public async Task The_doctor_fails_where_speech_would()
    {
        using var checkpoint = PoisonedCheckpoint.Everywhere();
        var (code, output, _) = await Run("doctor", "--model", checkpoint.Folder, "--device", "cpu");
        Assert.Equal(1, code);
        Assert.Contains("fault", output);
        Assert.Contains("T3 (text to speech tokens)", output);
        (code, output, _) = await Run("doctor", "--model", "no-such-model");
        Assert.Equal(1, code);
        Assert.Contains("no-such-model", output);
    }

    [Fact]
    public async Task A_command_prints_no_warning_of_libtorch()
    {
        var file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.wav");
        try
        {
            var (code, output, error) = await Run("say", "Hello.", "--model", "tiny", "--device", "cpu", "--out", file);
            Assert.True(code == 0, error);
            Assert.DoesNotContain("NNPACK", output + error);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Health_and_log_say_how_the_stages_are_computed()
    {
        await using var service = await TestService.StartReal("tiny");
        using var answer = await service.Http.GetAsync(new Uri("/health", UriKind.Relative), Cancel);
        var stages = (await answer.Json()).GetProperty("runtime").EnumerateArray().ToList();
        var step = Assert.Single(stages, stage => stage.GetProperty("stage").GetString() == "T3 step");
        Assert.StartsWith("weights in bfloat16, vectors of ", step.GetProperty("path").GetString(), StringComparison.Ordinal);
        stages.Remove(step);
        Assert.Contains("HiFT vocoder", stages.Select(stage => stage.GetProperty("stage").GetString()));
        Assert.All(stages, stage => Assert.Equal("plain operations", stage.GetProperty("path").GetString()));
        Assert.All(stages, stage => Assert.Equal("the model is not on a GPU", stage.GetProperty("reason").GetString()));
        lock (service.Log)
        {
            Assert.Contains("Model tiny, T3 step: weights in bfloat16, ", service.Log.ToString());
            Assert.Contains(
                "HiFT vocoder, watermark, voice encoders, random numbers: plain operations, because the model is not on a GPU",
                service.Log.ToString()
            );
        }
    }

    [Fact]
    public async Task Speech_that_is_not_finite_is_an_error_on_every_route_and_the_next_sentence_is_spoken()
    {
        using var checkpoint = PoisonedCheckpoint.AtLetterZ();
        await using var service = await TestService.StartReal(checkpoint.Folder);
        using var stream = await service.Post(
            "/speak",
            new { text = "The first one. A lazy one. The last one.", stream = true },
            cancellationToken: Cancel
        );
        var events = await stream.Events();
        var statuses = events.Select(e => e.TryGetProperty("status", out var status) ? status.GetString() : "audio");
        Assert.Equal(["success", "audio", "error", "success", "audio", "complete"], statuses);
        using var whole = await service.Post("/speak", new { text = "A lazy one." }, cancellationToken: Cancel);
        Assert.Contains("T3", await whole.AssertSpeakError(HttpStatusCode.InternalServerError));
        var body = new
        {
            model = service.Fleet.Default.Name,
            input = "A lazy one.",
            voice = "default",
            response_format = "wav",
            stream_format = "audio",
        };
        using var bytes = await service.Post("/v1/audio/speech", body, cancellationToken: Cancel);
        await bytes.AssertOpenAiError(HttpStatusCode.InternalServerError, code: "speech_failed");
        using var metrics = await service.Http.GetAsync(new Uri("/metrics", UriKind.Relative), Cancel);
        Assert.Matches(
            """chatterbox_invalid_outputs_total\{[^}]*outcome="failed"[^}]*stage="T3"[^}]*\} 3""",
            await metrics.Content.ReadAsStringAsync(Cancel)
        );
    }

    /// <summary>Runs the program as a user does.</summary>
    private static async Task<(int Code, string Output, string Error)> Run(params string[] args)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])[typeof(Program).Assembly.Location, .. args])
        {
            start.ArgumentList.Add(argument);
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        limit.CancelAfter(TimeSpan.FromMinutes(5));
        using var process = Process.Start(start)!;
        try
        {
            var (output, error) = (process.StandardOutput.ReadToEndAsync(limit.Token), process.StandardError.ReadToEndAsync(limit.Token));
            await process.WaitForExitAsync(limit.Token);
            return (process.ExitCode, await output, await error);
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
