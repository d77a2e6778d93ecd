using Chatterbox.Service.Models;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.OpenAi;

/// <summary>A voice that was found by a name.</summary>
/// <param name="Name">Its own name, also where the request named an alias.</param>
/// <param name="Voice">The voice; null for the model's own.</param>
internal sealed record NamedVoice(string Name, Voice? Voice);

/// <summary>Names of voices as OpenAI's routes know them: the model's own, those of the folder, and the aliases.</summary>
internal sealed class VoiceNames(VoiceFolder folder, VoiceCache voices, SentVoices sent, IOptions<OpenAiOptions> options)
{
    /// <summary>Type of a voice that is another name of one.</summary>
    public const string Alias = "alias";

    private const string Sent = "recording"; // what the answer's header calls the voice of a recording that came with the request

    /// <summary>Every name.</summary>
    public OpenAiVoiceList List()
    {
        var own = folder
            .All()
            .Select(v => new OpenAiVoice(v.Id, v.Id, v.IsVoiceFile ? "voice_file" : "recording"))
            .Where(v => v.Id != OpenAiOptions.Default)
            .ToList();
        var aliases = options
            .Value.VoiceAliases.Where(a => a.Value.Length > 0 && own.All(v => v.Id != a.Key))
            .OrderBy(a => a.Key, StringComparer.Ordinal);
        return new OpenAiVoiceList([
            new OpenAiVoice(OpenAiOptions.Default, OpenAiOptions.Default, "built_in"),
            .. own,
            .. aliases.Select(a => new OpenAiVoice(a.Key, a.Key, Alias, a.Value)),
        ]);
    }

    /// <summary>A model's voice that a request asks for.</summary>
    public async Task<NamedVoice> Find(VoiceChoice choice, FleetModel model, string client, CancellationToken cancellationToken) =>
        choice.Recording.IsEmpty
            ? await Find(choice.Name, model, client, cancellationToken)
            : new NamedVoice(Sent, await sent.GetAsync(choice.Recording, model, client, cancellationToken));

    /// <summary>A model's voice of a name. A voice of the folder goes before an alias of the same name.</summary>
    public async Task<NamedVoice> Find(string name, FleetModel model, string client, CancellationToken cancellationToken)
    {
        if (name == OpenAiOptions.Default)
        {
            return new NamedVoice(name, null);
        }

        var target = folder.Find(name) is null ? OpenAiOptions.Target(options.Value.VoiceAliases, name) : name;
        return target == OpenAiOptions.Default ? new NamedVoice(target, null)
            : target is not null && folder.Find(target) is { } entry
                ? new NamedVoice(entry.Id, await voices.GetAsync(entry, model, client, cancellationToken))
            : throw OpenAiErrors.NoVoice();
    }
}
