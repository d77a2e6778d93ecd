using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Chatterbox.Voices;

namespace Fuzz.Service;

/// <summary>What became of a service that was killed many times.</summary>
/// <param name="Kills">How often.</param>
/// <param name="Files">Files whose creation was confirmed to a client.</param>
/// <param name="Parts">Partial files that are left, which nothing reads.</param>
/// <param name="Faults">Files that are not whole, or missing although their creation was confirmed.</param>
internal sealed record KillReport(int Kills, int Files, int Parts, IReadOnlyList<string> Faults);

/// <summary>Kills the service (SIGKILL) at random moments while files are written, and checks after each kill that every file is whole,
/// and that every file is there whose creation was confirmed to a client.</summary>
internal static class KillRun
{
    private const int Writers = 4;
    private const int LongestLifeMilliseconds = 1500;

    /// <summary>Kills it so many times.</summary>
    /// <param name="kills">How often.</param>
    /// <param name="recording">A WAV file to upload.</param>
    /// <param name="seed">Of the moments.</param>
    /// <param name="progress">Given a line now and then.</param>
    public static async Task<KillReport> RunAsync(int kills, byte[] recording, int seed, Action<string>? progress = null)
    {
        var random = new Random(seed);
        var folder = Directory.CreateTempSubdirectory("chatterbox-kill-").FullName;
        var confirmed = new ConcurrentDictionary<string, bool>(); // paths
        var faults = new List<string>();
        var parts = 0;
        try
        {
            for (var kill = 0; kill < kills; kill++)
            {
                using (var service = await ServiceProgram.StartAsync(folder))
                {
                    using var stop = new CancellationTokenSource();
                    var writing = Enumerable
                        .Range(0, Writers)
                        .Select(writer => WriteAsync(service.Address, folder, $"{kill}-{writer}", recording, confirmed, stop.Token))
                        .ToList();
                    await Task.Delay(random.Next(LongestLifeMilliseconds));
                    service.Dispose();
                    await stop.CancelAsync();
                    await Task.WhenAll(writing);
                }

                parts = Check(folder, recording, confirmed.Keys, faults);
                if ((kill + 1) % 10 == 0)
                {
                    progress?.Invoke($"{kill + 1} kills: {confirmed.Count} files whole, {parts} partial ones left, {faults.Count} faults");
                }
            }

            return new KillReport(kills, confirmed.Count, parts, faults);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task WriteAsync(
        Uri address,
        string folder,
        string name,
        byte[] recording,
        ConcurrentDictionary<string, bool> confirmed,
        CancellationToken stop
    )
    {
        using var http = new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromMinutes(1) };
        try
        {
            for (var i = 0; !stop.IsCancellationRequested; i++)
            {
                var voice = $"{name}-{i}";
                using var form = new MultipartFormDataContent
                {
                    { new StringContent(voice), "name" },
                    { new ByteArrayContent(recording), "file", "voice.wav" },
                };
                using var upload = await http.PostAsync(new Uri("/v1/audio/voices", UriKind.Relative), form, stop);
                if (upload.StatusCode == HttpStatusCode.Created)
                {
                    confirmed[Path.Combine(folder, "voices", $"{voice}.wav")] = true;
                }

                using var speech = await http.PostAsJsonAsync("/speak", new { text = "One more file.", voice }, stop);
                if (speech.StatusCode == HttpStatusCode.OK)
                {
                    var saved = await speech.Content.ReadFromJsonAsync<JsonElement>(stop);
                    confirmed[Path.Combine(folder, "audio", $"{saved.GetProperty("audio_url").GetString()!.Split('/')[^1]}.wav")] = true;
                }
            }
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
        {
            // The service was killed.
        }
    }

    /// <returns>How many partial files there are.</returns>
    private static int Check(string folder, byte[] recording, IEnumerable<string> confirmed, List<string> faults)
    {
        var files = Directory.GetFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 });
        var parts = files.Where(file => file.EndsWith(".part", StringComparison.Ordinal)).ToList();
        faults.AddRange(files.Except(parts).Where(file => !IsWhole(file, recording)).Select(file => $"{file} is not whole"));
        faults.AddRange(
            confirmed.Where(file => !File.Exists(file)).Select(file => $"{file} is missing, although its creation was confirmed")
        );
        return parts.Count;
    }

    private static bool IsWhole(string file, byte[] recording)
    {
        if (file.EndsWith(".safetensors", StringComparison.Ordinal))
        {
            try
            {
                VoiceFile.Load(file);
                return true;
            }
            catch (Chatterbox.VoiceException)
            {
                return false;
            }
        }

        var bytes = File.ReadAllBytes(file);
        return Path.GetFileName(Path.GetDirectoryName(file)) == "voices"
            ? bytes.AsSpan().SequenceEqual(recording)
            : bytes.Length > 44
                && BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4)) == bytes.Length - 8
                && BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(40)) == bytes.Length - 44;
    }
}
