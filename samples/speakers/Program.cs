// Plays through the speakers while the rest is being generated; elsewhere than on Windows, into speech.wav.  dotnet run -- MODEL "TEXT"
using Chatterbox;
using Chatterbox.Engine;
using Chatterbox.NAudio;
using NAudio.Wave;

await using var engine = new SpeechEngine(await ChatterboxModel.LoadAsync(args[0]));
using var speech = new SpeechSampleProvider(engine.StreamAsync(args[1]));
if (OperatingSystem.IsWindows())
{
    using var player = new WaveOut();
    player.Init(speech);
    player.Play();
    while (player.PlaybackState == PlaybackState.Playing)
    {
        await Task.Delay(TimeSpan.FromMilliseconds(100));
    }
}
else
{
    WaveFileWriter.CreateWaveFile16("speech.wav", speech);
}
